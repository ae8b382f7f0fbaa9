"""Runs the hook on the genuine bindings of a TensorRT release, over libraries that do nothing (bindings/stub.c).

argv: the folder of vendor_hooks, the precision, the datatype of the engine's tensors. Prints one JSON document:
version; used: [class, name] of everything that the hook touched; effective: the settings that it read back;
staged: what the input's buffer began with; outputs: what the hook made of the same in the output's;
failure: kind and message of a StageFailure.
"""

import contextlib
import ctypes
import enum
import json
import sys
import tempfile
import types
from pathlib import Path

import tensorrt_bindings as real

USED = set()
# What C++ would return by value, where a stub returns nothing of use: class, name → value.
ANSWERS = {
    ("INetworkDefinition", "num_inputs"): 1,
    ("INetworkDefinition", "num_layers"): 2,
    ("ILayer", "type"): real.LayerType.MATRIX_MULTIPLY,
    ("ITensor", "name"): "input",
    ("ITensor", "shape"): (-1, 3, 8, 8),
    ("ITensor", "dtype"): real.DataType.HALF,
    ("OnnxParser", "num_errors"): 0,
    ("OnnxParser", "parse_from_file"): True,
    ("IBuilderConfig", "get_flag"): True,
    ("IBuilderConfig", "get_memory_pool_limit"): 1 << 30,
    ("IBuilderConfig", "set_timing_cache"): True,
    ("ICudaEngine", "num_io_tensors"): 2,
    ("ICudaEngine", "num_layers"): 2,
    ("ICudaEngine", "device_memory_size"): 1 << 20,
    ("ICudaEngine", "device_memory_size_v2"): 1 << 20,
    ("ICudaEngine", "get_tensor_name"): lambda index: ("input", "logits")[index],
    ("ICudaEngine", "get_tensor_dtype"): getattr(real.DataType, sys.argv[3]),
    ("EngineInspector", "get_engine_information"): '{"Layers": ["a"]}',
    ("IExecutionContext", "set_input_shape"): True,
    ("IExecutionContext", "set_tensor_address"): True,
    ("IExecutionContext", "get_tensor_shape"): (4, 10),
    ("IExecutionContext", "execute_async_v3"): True,
}


class Memory(bytes):
    """What IHostMemory holds: the stub's has a size that means nothing."""


class Object:
    """An object of the bindings: each call goes to the genuine method, which checks what it is given."""

    def __init__(self, inner):
        object.__setattr__(self, "_inner", inner)

    def __getattr__(self, name):
        kind = type(self._inner)
        found = getattr(kind, name)
        USED.add((kind.__name__, name))
        if callable(found):
            return lambda *values, **named: self._call(name, values, named)
        answer = ANSWERS.get((kind.__name__, name))
        return wrapped(getattr(self._inner, name)) if answer is None else answer

    def __setattr__(self, name, value):
        USED.add((type(self._inner).__name__, name))
        setattr(self._inner, name, unwrapped(value))

    def _call(self, name, values, named):
        values, named = (
            [unwrapped(one) for one in values],
            {k: unwrapped(v) for k, v in named.items()},
        )
        answer = ANSWERS.get((type(self._inner).__name__, name))
        if answer is None:
            return wrapped(getattr(self._inner, name)(*values, **named))
        # What the stub returns is no text and no shape, but by then the arguments have been accepted.
        with contextlib.suppress(UnicodeDecodeError, RuntimeError):
            getattr(self._inner, name)(*values, **named)
        return answer(*values) if callable(answer) else answer


class Enum:
    """An enum of the bindings, whose members are noted."""

    def __init__(self, name, inner):
        self._name, self._inner = name, inner

    def __getattr__(self, name):
        member = getattr(self._inner, name)
        USED.add((self._name, name))
        return member


class Module(types.ModuleType):
    """The module ``tensorrt`` as the hook imports it."""

    def __getattr__(self, name):
        found = getattr(real, name)
        USED.add(("tensorrt", name))
        if name in ("Builder", "OnnxParser", "Runtime"):
            return lambda *values: Object(found(*[unwrapped(one) for one in values]))
        if isinstance(found, type) and hasattr(found, "__members__"):
            return Enum(name, found)
        return found


def wrapped(value):
    """Wrap an object of the bindings."""
    if isinstance(value, real.IHostMemory):
        assert ctypes.pythonapi.PyObject_CheckBuffer(ctypes.py_object(value)), "no buffer protocol"
        return Memory(b"plan")
    known = type(value).__module__.split(".")[0] == "tensorrt_bindings"
    is_enum = isinstance(value, enum.Enum) or hasattr(type(value), "__members__")
    return Object(value) if known and not is_enum else value


def unwrapped(value):
    """Return the genuine object."""
    return object.__getattribute__(value, "_inner") if isinstance(value, Object) else value


class Device:
    """The CUDA device, as harness.engines.trt.cuda.Cuda is used; no memory is touched by the stubs."""

    simulated = False
    api = types.SimpleNamespace(cudaEventSynchronize=lambda _event: (0,))

    def device(self):
        """Return name and compute capability."""
        return "a GPU", "9.0"

    def stream(self):
        """Return a handle."""
        return 16

    event = stream

    def record(self, *_):
        """Do nothing."""

    after = copy_in = copy_out = record

    def check(self, _result):
        """Do nothing."""


def make_job(folder, precision):
    """Return what the engine reads of a job."""
    from harness.job import TensorSpec

    (folder / "model").mkdir()
    (folder / "cache").mkdir()
    onnx = folder / "model" / "model.onnx"
    onnx.write_bytes(b"the parser's stub does not read it")
    return types.SimpleNamespace(
        onnx_path=onnx,
        graph_path=onnx,
        model_dir=onnx.parent,
        cache_dir=folder / "cache",
        precision=precision,
        arithmetic=precision,
        batch_size=4,
        engine_options={"workspace_gib": 1},
        case="case",
        vendor="nvidia",
        inputs=[TensorSpec("input", (3, 8, 8), "float32", True, 1)],
        outputs=[TensorSpec("logits", (10,), "float32", True, 1)],
    )


class Buffer:
    """Pinned and device memory of a tensor."""

    def __init__(self, _device, shape, dtype):
        import numpy as np

        self.array, self.device, self.pinned = np.zeros(shape, dtype), 4096, 8192

    def free(self):
        """Do nothing."""


def run(folder, precision):
    """Build, load, infer one batch: everything that the engine does with TensorRT."""
    import numpy as np
    from harness.engines.trt import engine as shared
    from harness.engines.trt import slot
    from harness.errors import StageFailure
    from hook import trt_cast
    from hook.engines.tensorrt import TensorRt

    shared.Cuda, slot.Buffer = Device, Buffer
    # The cast needs a graph; it is tested with the package that does it.
    trt_cast.cast, trt_cast.converter = (lambda source, *_: source), (lambda: "none")
    engine = TensorRt(make_job(folder, precision))
    inputs = np.zeros((4, 3, 8, 8), np.float32)
    inputs[0, 0, 0, :4] = [1 + 2**-8, 1 + 2**-6 + 2**-20, -3, np.inf]
    try:
        engine.compile()
        effective = engine.load()
        ticket = engine.submit({"input": inputs})
        staged = ticket.buffers["input"].array[0, 0, 0, :4]
        # A device would have written there.
        ticket.buffers["logits"].array[0, :4] = staged
        outputs = engine.wait(ticket)["logits"]
        # Again, with a profile, a timing cache and an engine that are there already.
        again = TensorRt(engine.job)
        again.compile()
        engine.close()
    except StageFailure as failure:
        return {"failure": [failure.kind, failure.message]}
    return {
        "effective": effective,
        "warnings": engine.warnings(),
        "cached": again.cached,
        "staged": staged.tolist(),
        "outputs": outputs[0, :4].tolist(),
    }


def main():
    """Lay harness and hook out as a job folder has them, and run."""
    hooks, precision = Path(sys.argv[1]), sys.argv[2]
    sys.modules["tensorrt"] = Module("tensorrt")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "harness").symlink_to(hooks / "harness")
        (folder / "hook").symlink_to(hooks / "nvidia")
        sys.path.insert(0, str(folder))
        document = run(folder, precision)
    document.update(version=real.__version__, used=sorted(USED))
    sys.stdout.write(json.dumps(document, default=str) + "\n")


main()
