"""XTCL 2.0: Relay's importer, both compilers, both executors, the environment of each precision.

fp32: XTCL_USE_FP16=0 XTCL_QUANTIZE_WEIGHT=0. W32A16: XTCL_USE_NEW_ALTER_PASS=1 XTCL_USE_FP16=1
XTCL_QUANTIZE_WEIGHT=1. fp16: the same, and XPUOutDtypeConfig(default_precision="float16", …).
The environment is read when a model is compiled; without XTCL_USE_FP16=1 nothing computes in fp16.
"""

import os
import threading

import numpy as np

from assay_standin import execution, faults, onnx_file, program


class TVMError(RuntimeError):
    """What TVM raises."""


class Device:
    """("xpu", 0)."""

    def __init__(self, kind, number):
        self.device_type, self.device_id = kind, number
        self.exist = kind != "xpu" or number == 0

    def sync(self, stream=None):
        """Wait for what runs on the device."""


class NDArray:
    """An array on a device, the host where none is named; ``numpy()`` copies it to the host."""

    def __init__(self, values, device=None):
        self._values = np.array(values)
        self.device = device or Device("cpu", 0)

    @property
    def shape(self):
        """Its shape."""
        return self._values.shape

    @property
    def dtype(self):
        """The name of its type."""
        return str(self._values.dtype)

    def copyfrom(self, source):
        """Copy a host array into this one, of the same shape."""
        if source.shape != self.shape:
            raise ValueError(
                "array shape do not match the shape of NDArray {} vs {}".format(
                    source.shape, self.shape
                )
            )
        np.copyto(self._values, source)
        return self

    def lies_on(self, device):
        """Tell whether it is an array of this device."""
        here = self.device.device_type, self.device.device_id
        return here == (device.device_type, device.device_id)

    def numpy(self):
        """Return a copy on the host."""
        return self._values.copy()

    asnumpy = numpy


def copied_by_the_machine(value, device):
    """Return a fresh array on the device: the copy of one that is elsewhere."""
    return NDArray(value.numpy() if hasattr(value, "numpy") else value, device)


class IRModule:
    """A graph with the shapes of its inputs."""

    def __init__(self, model, shapes):
        self.model, self.shapes = model, shapes


class PassContext:
    """How to compile: ``opt_level``, ``config``, ``disabled_pass``."""

    _current = threading.local()

    def __init__(
        self, opt_level=2, required_pass=None, disabled_pass=None, instruments=None, config=None
    ):
        if not 0 <= opt_level <= 4:
            raise TVMError("Check failed: opt_level")
        self.opt_level, self.config = opt_level, dict(config or {})
        self.disabled_pass = list(disabled_pass or [])
        unknown = sorted(key for key in self.config if not _known_option(key))
        if unknown:
            raise TVMError("AttributeError: Invalid config option '{}'".format(unknown[0]))

    def __enter__(self):
        self._current.value = self
        return self

    def __exit__(self, kind, value, trace):
        self._current.value = None

    @classmethod
    def current(cls):
        """Return the innermost one."""
        return getattr(cls._current, "value", None) or cls()


def _known_option(key):
    return key == "FuseWithoutPattern" or key.startswith(("relay.", "tir.", "XPU", "xpu."))


class XPUOutDtypeConfig:
    """The type of each operator's output; ``value()`` is what the PassContext takes."""

    def __init__(self, default_precision="float32", config_last_node=False, config_map=None, **_):
        if default_precision not in ("float32", "float16"):
            raise TVMError(
                "default_precision {!r} is not float32 or float16".format(default_precision)
            )
        self._value = {
            "default_precision": default_precision,
            "config_last_node": config_last_node,
            "config_map": dict(config_map or {}),
        }

    def value(self):
        """Return the setting."""
        return self._value


class XPUGraphMatchConfig:
    """Which subgraph is replaced by a kernel; ``value()`` goes under "XPUFuzzyMatch"."""

    def __init__(self, pattern_match=None, **_):
        self._value = {"pattern_match": pattern_match}

    def value(self):
        """Return the setting."""
        return self._value


def get_info(info_proto):
    """Return (name, shape, dtype, dimension names) of a ValueInfoProto, as Relay's importer does."""
    dims = info_proto.type.tensor_type.shape.dim
    shape = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in dims]
    return info_proto.name, shape, "float32", [dim.dim_param for dim in dims]


def from_onnx(model, shape=None, dtype="float32", opset=None, freeze_params=True, **_):
    """Return (module, params) of an ONNX ModelProto, or of a path to one.

    A ModelProto's external data must have been loaded into it, as ``onnx.load`` does.
    """
    found = _read(model)
    names = {port.name for port in found.inputs}
    unknown = sorted(set(shape or {}) - names)
    if unknown:
        raise ValueError("User specified the shape for inputs that weren't found in the graph: "
                         "{}".format(unknown))  # fmt: skip
    shapes = {}
    for port in found.inputs:
        dims = tuple((shape or {}).get(port.name, port.dims))
        fixed = [(a, b) for a, b in zip(dims, port.dims) if isinstance(b, int)]
        if len(dims) != len(port.dims) or any(a != b for a, b in fixed):
            raise TVMError("shape {} of input {} does not fit the graph's {}".format(
                list(dims), port.name, list(port.dims)))  # fmt: skip
        if not all(isinstance(dim, int) and dim > 0 for dim in dims):
            raise TVMError("the shape of input {} is not static: {}. Give it in shape_dict.".format(
                port.name, list(dims)))  # fmt: skip
        shapes[port.name] = dims
    if "NotAnOperator" in found.operators:
        raise NotImplementedError(
            "The following operators are not supported for frontend ONNX: NotAnOperator"
        )
    return IRModule(found, shapes), {}


def _read(model):
    try:
        if hasattr(model, "SerializeToString"):
            return onnx_file.OnnxFile(model.SerializeToString(), os.devnull)
        return onnx_file.read(os.fspath(model))
    except onnx_file.OnnxError as error:
        raise TVMError(str(error)) from None


#: Patterns that can be matched: importing tvm.relay.xpu.patterns makes them known.
PATTERNS = set()


def _precision():
    def switched(name):
        return os.environ.get(name, "0") == "1"

    config = PassContext.current().config
    out = (
        next((v for k, v in config.items() if "OutDtype" in k or "out_dtype" in k.lower()), None)
        or {}
    )
    new_pass = switched("XTCL_USE_NEW_ALTER_PASS")
    if switched("XTCL_USE_FP16") and switched("XTCL_QUANTIZE_WEIGHT") and not new_pass:
        raise TVMError("XTCL_QUANTIZE_WEIGHT needs XTCL_USE_NEW_ALTER_PASS=1")
    if out.get("default_precision") == "float16" and not new_pass:
        raise TVMError("XPUOutDtypeConfig needs XTCL_USE_NEW_ALTER_PASS=1")
    return "fp16" if switched("XTCL_USE_FP16") else "fp32"


def _require_patterns():
    asked = PassContext.current().config.get("XPUFuzzyMatch", {}).get("pattern_match") or ()
    unknown = sorted(set(asked) - PATTERNS)
    if unknown:
        raise TVMError("no pattern {!r} is registered".format(unknown[0]))


def _compile(mod, target):
    text = target if isinstance(target, str) else " ".join(str(v) for v in dict(target).values())
    model = os.environ.get("XPUSIM_DEVICE_MODEL", "KUNLUN2")
    if "xpu" not in text:
        raise TVMError("target {!r} has no xpu".format(text))
    if not model.startswith("KUNLUN") or "xpu" + model[6:] not in text:
        raise TVMError("target {!r} does not fit XPUSIM_DEVICE_MODEL={}".format(text, model))
    _require_patterns()
    if faults.strike("compile") & {"fail", "oom"}:
        raise TVMError("Check failed: (code == RT_SUCCESS) xpu_malloc failed: out of L3/HBM"
                       if "oom" in faults.asked("compile") else
                       "Check failed: op nn.layer_norm has no XPU implementation")  # fmt: skip
    symbols = {}
    for port in mod.model.inputs:
        pairs = zip(port.dims, mod.shapes[port.name])
        symbols.update({d: s for d, s in pairs if not isinstance(d, int) and d})
    header = {
        "tool": "xtcl",
        "target": text,
        "inputs": [[p.name, p.dtype.name, list(mod.shapes[p.name])] for p in mod.model.inputs],
        "free_dimensions": symbols,
    }
    return program.compile_model(mod.model, header, _precision())


class Executable:
    """A program of the virtual machine."""

    def __init__(self, compiled):
        self.program = compiled

    def save(self):
        """Return (code bytes, library)."""
        return self.program.tobytes(), Library(self.program)

    @staticmethod
    def load_exec(bytecode, lib):
        """Return what was saved."""
        try:
            return Executable(program.loads(bytecode))
        except program.NotAProgram as error:
            raise TVMError("load_exec: {}".format(error)) from None

    @property
    def lib(self):
        """The library."""
        return Library(self.program)


class Library:
    """What ``relay.build`` gives, and ``load_module`` reads."""

    def __init__(self, compiled):
        self.program = compiled

    def export_library(self, path, **_):
        """Write it."""
        with open(path, "wb") as file:
            file.write(self.program.tobytes())

    def get_graph_json(self):
        """Return the graph."""
        return "{}"

    def get_lib(self):
        """Return the library itself."""
        return self

    def get_params(self):
        """Return the weights that are not inside."""
        return {}

    def __getitem__(self, name):
        return lambda device: GraphModule(self.program, device)


def load_module(path):
    """Read a library."""
    try:
        return Library(program.load(path))
    except (OSError, program.NotAProgram) as error:
        raise TVMError("{}: {}".format(path, error)) from None


def vm_compile(mod, target=None, target_host=None, params=None):
    """relay.backend.vm.compile."""
    return Executable(_compile(mod, target))


def build(mod, target=None, target_host=None, params=None, mod_name="default"):
    """relay.build: a library that also unpacks into (graph, lib, params)."""
    library = Library(_compile(mod, target))
    return _Factory(library.program)


class _Factory(Library):
    def __iter__(self):
        return iter((self.get_graph_json(), self, {}))


class _Runner:
    def __init__(self, compiled, device):
        if "oom" in faults.asked("load"):
            raise TVMError("xpu_malloc failed: out of memory")
        if not device.exist:
            raise TVMError("xpu device {} does not exist".format(device.device_id))
        self._execution = execution.Execution(compiled)
        self._device = device
        self._ports = {n: (np.dtype(t), tuple(s)) for n, t, s in compiled.header["inputs"]}
        self._names = list(self._ports)
        self._feeds, self._outputs = {}, None

    def _set(self, key, value):
        name = self._names[key] if isinstance(key, int) else key
        if name not in self._ports:
            raise TVMError("there is no input {!r} ({})".format(name, ", ".join(self._names)))
        dtype, shape = self._ports[name]
        if np.dtype(value.dtype) != dtype or value.shape != shape:
            raise TVMError("Check failed: input {} is {}{}, got {}{}".format(
                name, dtype, list(shape), value.dtype, list(value.shape)))  # fmt: skip
        self._feeds[name] = self._taken(name, value)

    def _run(self):
        missing = [name for name in self._names if name not in self._feeds]
        if missing:
            raise TVMError("input {} was not set".format(missing[0]))
        feeds = {name: array.numpy() for name, array in self._feeds.items()}
        self._outputs = [NDArray(array, self._device) for array in self._execution.run(feeds)]

    def get_num_outputs(self):
        """How many there are."""
        return len(self._execution.outputs)

    def _output(self, index):
        if self._outputs is None:
            raise TVMError("run() was not called")
        return self._outputs[index]


class VirtualMachine(_Runner):
    """Runs an Executable."""

    def __init__(self, exe, device, memory_cfg=None):
        super().__init__(exe.program, device)

    def _taken(self, name, value):
        """An array of the device as it is: what is written into it later is what runs."""
        if isinstance(value, NDArray) and value.lies_on(self._device):
            return value
        return copied_by_the_machine(value, self._device)

    def set_one_input(self, func_name, *args, **kwargs):
        """Set one input of "main", by name or index."""
        if func_name != "main":
            raise TVMError("Cannot find function {}".format(func_name))
        pairs = list(kwargs.items()) or [tuple(args)]
        for key, value in pairs:
            self._set(key, value)

    def set_input(self, func_name, *args, **kwargs):
        """Set all inputs of "main"."""
        for index, value in enumerate(args):
            self._set(index, value)
        for key, value in kwargs.items():
            self._set(key, value)

    def run(self, *args, **kwargs):
        """Run "main"; one output, or a list."""
        for index, value in enumerate(args):
            self._set(index, value)
        self._run()
        return self._outputs[0] if len(self._outputs) == 1 else self._outputs

    def invoke(self, func_name, *args, **kwargs):
        """Run a function."""
        return self.run(*args, **kwargs)

    def get_outputs(self):
        """All of them."""
        return list(self._outputs or [])

    def get_output(self, index):
        """One of them."""
        return self._output(index)


class GraphModule(_Runner):
    """The graph executor: it has a buffer of its own for each input, into which arrays are copied."""

    def _taken(self, name, value):
        dtype, shape = self._ports[name]
        buffer = self._feeds.get(name) or NDArray(np.empty(shape, dtype), self._device)
        return buffer.copyfrom(value.numpy() if isinstance(value, NDArray) else value)

    def set_input(self, key=None, value=None, **params):
        """Set an input by name or index, or several by name."""
        if key is not None:
            self._set(key, value)
        for name, item in params.items():
            self._set(name, item)

    def run(self, **inputs):
        """Run."""
        self.set_input(**inputs)
        self._run()

    def get_output(self, index, out=None):
        """Return one output."""
        return self._output(index)


def create(graph_json_str, libmod, device):
    """graph_executor.create."""
    return GraphModule(libmod.program, device)
