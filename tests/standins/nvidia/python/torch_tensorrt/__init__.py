"""Stand-in of torch_tensorrt: ``compile`` gives TorchScript with engines in it, of lowered precision.

As in the real one, an engine is one call of tensorrt::execute_engine, whose operators are no longer in
the graph; what is not converted stays there as PyTorch's. It is saved by torch.jit.save, and torch.jit.load
takes it back only where this package was imported: its operator is in the file.
"""

import io
import json

import torch
from assay_standin import faults, settings, tensorrt_build
from assay_standin.precision import ROUNDING

__assay_standin__ = True
# Which came with which TensorRT.
__version__ = {(8, 5): "1.3.0", (8, 6): "1.4.0"}.get(tensorrt_build.version()[:2], "2.12.1")


class Input:
    """A shape, or min, opt and max, with a type."""

    def __init__(self, shape=None, min_shape=None, opt_shape=None, max_shape=None, dtype=None, **_):
        if shape is None and None in (min_shape, opt_shape, max_shape):
            raise ValueError("Missing specification of shape; provide shape or min, opt and max")
        self.shape, self.dtype = shape, dtype
        self.min_shape, self.opt_shape, self.max_shape = min_shape, opt_shape, max_shape
        self.low = list(self.shape if min_shape is None else min_shape)
        self.high = list(self.shape if max_shape is None else max_shape)

    def check(self, tensor):
        """Refuse a tensor that the engine was not built for."""
        low, high = self.low, self.high
        if len(tensor.shape) != len(low) or not all(
            a <= s <= b for a, s, b in zip(low, tensor.shape, high)
        ):
            raise RuntimeError(
                "[Error thrown at core/runtime/execute_engine.cpp] Expected input of shape {} to {}, "
                "got {}".format(list(low), list(high), list(tensor.shape))
            )


_OPERATORS = torch.library.Library("tensorrt", "DEF")
_OPERATORS.define("execute_engine(Tensor[] inputs, Tensor engine) -> Tensor[]")
_compiling = []
_loaded = {}


def _lower(tensor, precision):
    if tensor.dtype != torch.float32:
        return tensor.clone()
    return torch.from_numpy(ROUNDING[precision](tensor.detach().cpu().numpy()).copy())


def _serialize(script, specs, precision):
    """An engine as bytes: a line that describes it, then what it computes."""
    file = io.BytesIO()
    ranges = [(spec.low, spec.high) for spec in specs]
    file.write(json.dumps({"inputs": ranges, "precision": precision}).encode() + b"\n")
    torch.jit.save(script, file)
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)


def _deserialize(engine):
    """(description, script); kept with its bytes, so that no other engine gets their address."""
    address = engine.data_ptr()
    if address not in _loaded:
        described, _, script = engine.numpy().tobytes().partition(b"\n")
        _loaded[address] = json.loads(described), torch.jit.load(io.BytesIO(script)), engine
    return _loaded[address][:2]


def _execute(inputs, engine):
    described, script = _deserialize(engine)
    if not _compiling:
        faults.strike("infer")
    precision = described["precision"]
    for tensor, (low, high) in zip(inputs, described["inputs"]):
        Input(min_shape=low, opt_shape=high, max_shape=high).check(tensor)
    with torch.no_grad():
        outputs = _listed(script(*[_lower(tensor, precision) for tensor in inputs]))
    arrays = [_lower(tensor, precision).numpy() for tensor in outputs]
    spoiled = arrays if _compiling else faults.spoil(arrays)
    return [torch.from_numpy(array.copy()) for array in spoiled]


_OPERATORS.impl("execute_engine", _execute, "CPU")


def _layer_info(engine):
    """What the real engine's method returns: the inspector's JSON, in the verbosity of the build."""
    described, _ = _deserialize(engine)
    detailed = settings.value("layer_info") == "detailed"
    return tensorrt_build.layer_information(described["precision"], detailed)


# The stand-in's engine is a tensor, since only C++ defines classes that TorchScript can hold.
torch.Tensor.get_engine_layer_info = _layer_info


def _listed(outputs):
    return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]


class _Compiled(torch.nn.Module):
    """One engine; where a part is left to PyTorch, a product that changes nothing comes after it."""

    def __init__(self, engine, outputs):
        super().__init__()
        self._many = isinstance(outputs, (tuple, list))
        self.register_buffer("engine", engine)
        rest = (
            torch.eye(_listed(outputs)[0].shape[-1]) if "part" in faults.asked("compile") else None
        )
        self.register_buffer("rest", rest)

    def forward(self, *tensors):
        left = torch.ops.tensorrt.execute_engine(list(tensors), self.engine)
        if self.rest is not None:
            left[0] = torch.matmul(left[0], self.rest)
        return tuple(left) if self._many else left[0]


def _trace(module, examples):
    return torch.jit.trace(module, examples, strict=False, check_trace=False)


def _script(module, specs, precision):
    """TorchScript with an engine in it; that of PyTorch alone where nothing is converted."""
    examples = [torch.zeros(spec.high, dtype=spec.dtype or torch.float32) for spec in specs]
    if "nothing" in faults.asked("compile"):
        return _trace(module.eval(), examples)
    _compiling.append(True)
    try:
        with torch.no_grad():
            outputs = module.eval()(*examples)
            for parameter in module.parameters():
                parameter.copy_(_lower(parameter, precision))
            engine = _serialize(_trace(module, examples), specs, precision)
            return _trace(_Compiled(engine, outputs), examples)
    finally:
        _compiling.clear()


def compile(module, ir="default", inputs=None, enabled_precisions=None, **settings):
    """Return a ScriptModule; float32 alone is TF32 unless ``disable_tf32=True``, as in the real one."""
    unknown = set(settings) - {
        "disable_tf32", "workspace_size", "truncate_long_and_double", "require_full_compilation",
        "min_block_size", "device", "debug", "refit", "sparse_weights", "num_avg_timing_iters",
    }  # fmt: skip
    if unknown:
        raise TypeError("compile() got an unexpected keyword argument {!r}".format(min(unknown)))
    if not inputs:
        raise ValueError("torch_tensorrt.compile needs inputs")
    if faults.strike("compile") & {"fail", "oom"}:
        raise RuntimeError(
            "[Error thrown at core/conversion/conversionctx] Building serialized network failed"
        )
    asked = {str(p).replace("torch.", "") for p in enabled_precisions or {torch.float32}}
    precision = "fp32" if settings.get("disable_tf32") else "tf32"
    # From 2.13 on, ir="ts" ignores fp16 with a warning.
    if asked & {"float16", "half", "dtype.half", "dtype.f16"} and "ignore" not in faults.asked(
        "compile"
    ):
        precision = "fp16"
    specs = [item if isinstance(item, Input) else Input(shape=tuple(item.shape)) for item in inputs]
    return _script(module, specs, precision)
