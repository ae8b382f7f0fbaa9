"""TensorRT's Python API, v3 calls only (8.5 to 11), and IxRT's, which has the same names.

The bindings API (num_bindings, execute_async_v2), which 10 dropped, is not here: a hook that used it
would not run on 10.
"""

import enum
import hashlib
import os
import sys

import numpy as np

from assay_standin import bfloat16, chips, cuda_runtime, execution, faults, tensorrt_build
from assay_standin.tensorrt_build import BuildError as _BuildError

_VERSION = tensorrt_build.version()
_IXRT = tensorrt_build.is_ixrt()
__version__ = tensorrt_build.IXRT if _IXRT else ".".join(str(part) for part in _VERSION)


class ILogger:
    """Base of a logger of one's own: override ``log``."""

    class Severity(enum.IntEnum):
        """How bad it is."""

        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def log(self, severity, msg):
        """Take a message."""
        raise NotImplementedError


class Logger(ILogger):
    """Prints what is at least as bad as ``min_severity``."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = ILogger.Severity

    def __init__(self, min_severity=ILogger.Severity.WARNING):
        self.min_severity = min_severity

    def log(self, severity, msg):
        """Print to stderr, as the real one does."""
        if severity <= self.min_severity:
            print("[TRT] [{}] {}".format(severity.name[0], msg), file=sys.stderr)


def _enum(name, *members):
    """Make an enum of (member, value, first release, first release without it or None)."""
    values = {
        member: value
        for member, value, first, gone in members
        if first <= _VERSION[:2]
        and (gone is None or _VERSION[:2] < gone)
        # No document of IxRT's has this flag.
        and not (_IXRT and member == "TF32")
    }
    return enum.IntEnum(name, values)


_OLD, _TEN, _WEAK = (8, 0), (10, 0), (11, 0)
BuilderFlag = _enum(
    "BuilderFlag",
    ("FP16", 0, _OLD, _WEAK), ("INT8", 1, _OLD, _WEAK), ("DEBUG", 2, _OLD, None),
    ("GPU_FALLBACK", 3, _OLD, None), ("TF32", 7, _OLD, _TEN), ("TF32", 6, _TEN, None),
    ("FP8", 17, (8, 6), _TEN), ("FP8", 15, _TEN, _WEAK), ("BF16", 17, _TEN, _WEAK),
)  # fmt: skip
NetworkDefinitionCreationFlag = _enum(
    "NetworkDefinitionCreationFlag",
    ("EXPLICIT_BATCH", 0, _OLD, _WEAK),
    ("STRONGLY_TYPED", 1, _TEN, _WEAK),
    ("STRONGLY_TYPED", 0, _WEAK, None),
)
MemoryPoolType = _enum("MemoryPoolType", ("WORKSPACE", 0, _OLD, None))
TensorIOMode = enum.IntEnum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"], start=0)
ProfilingVerbosity = enum.IntEnum(
    "ProfilingVerbosity", ["LAYER_NAMES_ONLY", "NONE", "DETAILED"], start=0
)
LayerInformationFormat = enum.IntEnum("LayerInformationFormat", ["ONELINE", "JSON"], start=0)
LayerType = _enum(
    "LayerType",
    ("CONVOLUTION", 0, _OLD, None), ("ELEMENTWISE", 9, _OLD, None),
    ("DECONVOLUTION", 7, _OLD, None), ("MATRIX_MULTIPLY", 17, _OLD, None),
    ("EINSUM", 39, _OLD, _TEN), ("EINSUM", 38, _TEN, None),
)  # fmt: skip
DataType = _enum(
    "DataType",
    ("FLOAT", 0, _OLD, None), ("HALF", 1, _OLD, None), ("INT8", 2, _OLD, None),
    ("INT32", 3, _OLD, None), ("BOOL", 4, _OLD, None), ("UINT8", 5, _OLD, None),
    ("FP8", 6, (8, 6), None), ("BF16", 7, _TEN, None), ("INT64", 8, _TEN, None),
)  # fmt: skip
float32, float16, int8, int32, bool = (
    DataType.FLOAT, DataType.HALF, DataType.INT8, DataType.INT32, DataType.BOOL,
)  # fmt: skip
_FROM_NUMPY = {
    "float32": DataType.FLOAT, "float16": DataType.HALF, "int8": DataType.INT8,
    "int32": DataType.INT32, "bool": DataType.BOOL, "uint8": DataType.UINT8,
}  # fmt: skip
if hasattr(DataType, "INT64"):
    _FROM_NUMPY["int64"] = DataType.INT64
_COMPUTING = {
    "MatMul": LayerType.MATRIX_MULTIPLY, "Gemm": LayerType.MATRIX_MULTIPLY,
    "Conv": LayerType.CONVOLUTION, "ConvTranspose": LayerType.DECONVOLUTION,
}  # fmt: skip


def nptype(trt_type):
    """Return the numpy type of a DataType; numpy has none of bfloat16 or fp8."""
    known = {value: np.dtype(key).type for key, value in _FROM_NUMPY.items()}
    if trt_type not in known:
        raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")
    return known[trt_type]


def volume(shape):
    """Return how many elements a shape has."""
    return int(np.prod(tuple(shape), dtype=np.int64))


def Dims(shape):
    """Return a shape."""
    return tuple(shape)


class IHostMemory(bytes):
    """Bytes that the builder made, with their size."""

    @property
    def nbytes(self):
        """How many."""
        return len(self)


def _datatype(dtype):
    """Return the DataType of a port; what is uint16 here are the bits of bfloat16."""
    return DataType.BF16 if dtype == bfloat16.DTYPE else _FROM_NUMPY[dtype.name]


class ITensor:
    """An input or output of a network; -1 where a dimension is dynamic."""

    def __init__(self, port):
        self.name = port.name
        self.dtype = _datatype(port.dtype)
        self.shape = tuple(dim if isinstance(dim, int) else -1 for dim in port.dims)


class _LayerInput:
    """What goes into a layer."""

    def __init__(self, dtype):
        self.dtype = dtype


class ILayer:
    """One operator; a graph that was cast to float16 or bfloat16 computes in it."""

    def __init__(self, operator, model):
        self.type = _COMPUTING.get(operator, LayerType.ELEMENTWISE)
        cast = DataType.BF16 if model.brain else DataType.FLOAT
        self._input = _LayerInput(DataType.HALF if model.half else cast)

    def get_input(self, index):
        """Return the input."""
        return self._input


class INetworkDefinition:
    """What a parser fills."""

    def __init__(self):
        self.model = None

    @property
    def num_inputs(self):
        """How many inputs."""
        return len(self.model.inputs) if self.model else 0

    @property
    def num_outputs(self):
        """How many outputs."""
        return len(self.model.outputs) if self.model else 0

    @property
    def num_layers(self):
        """How many operators."""
        return len(self.model.operators) if self.model else 0

    def get_layer(self, index):
        """Return the layer."""
        return ILayer(self.model.operators[index], self.model)

    def get_input(self, index):
        """Return the input."""
        return ITensor(self.model.inputs[index])

    def get_output(self, index):
        """Return the output."""
        return ITensor(self.model.outputs[index])


class ParserError:
    """What the ONNX parser could not take."""

    def __init__(self, text):
        self._text = text

    def desc(self):
        """Return the text."""
        return self._text

    def code(self):
        """Return the kind."""
        return 1

    def node(self):
        """Return the node's number."""
        return 0

    def __str__(self):
        return "In node 0 (parseGraph): UNSUPPORTED_NODE: {}".format(self._text)


class OnnxParser:
    """Reads ONNX into a network; False and errors where it cannot."""

    def __init__(self, network, logger):
        self._network, self._logger, self._errors = network, logger, []

    def parse_from_file(self, model):
        """Read a file with its external data."""
        try:
            self._network.model = tensorrt_build.parse(model)
        except _BuildError as error:
            return self._refuse(str(error))
        return True

    def parse(self, model, path=None):
        """Read bytes; external data is found only with ``path``."""
        from assay_standin import onnx_file

        folder = os.path.dirname(os.path.abspath(path)) if path else os.devnull
        try:
            self._network.model = onnx_file.OnnxFile(bytes(model), folder)
        except onnx_file.OnnxError as error:
            return self._refuse(str(error))
        return True

    def _refuse(self, text):
        self._errors.append(ParserError(text))
        self._logger.log(ILogger.Severity.ERROR, "ModelImporter.cpp: " + text)
        return False

    @property
    def num_errors(self):
        """How many there were."""
        return len(self._errors)

    def get_error(self, index):
        """Return one."""
        return self._errors[index]

    def clear_errors(self):
        """Forget them."""
        self._errors = []


class IOptimizationProfile:
    """Shapes of the dynamic inputs."""

    def __init__(self):
        self.shapes = {}

    def set_shape(self, input, min, opt, max):
        """Set the three shapes of an input."""
        self.shapes[input] = (tuple(min), tuple(opt), tuple(max))

    def get_shape(self, input):
        """Return (min, opt, max)."""
        return list(self.shapes[input])

    def __bool__(self):
        return True

    __nonzero__ = __bool__


_TIMING = "ASSAY-STANDIN-TIMING"
_TIMED_ON = (__version__, chips.cuda_chip().name)


class ITimingCache:
    """Kernel timings of one version and device; grows with every new model that is built."""

    def __init__(self, data):
        title, *entries = bytes(data).decode("latin-1").split("\n")
        self.version, self.device = _TIMED_ON if not title else tuple(title.split(" ", 2)[1:])
        self.entries = set(filter(None, entries))

    def _fits(self, ignore_mismatch):
        """Tell whether it may be used here; another device's only where a mismatch is to be ignored."""
        version, device = _TIMED_ON
        return self.version == version and (ignore_mismatch or self.device == device)

    def serialize(self):
        """Return it as bytes."""
        title = "{} {} {}".format(_TIMING, self.version, self.device)
        return IHostMemory("\n".join([title] + sorted(self.entries)).encode())

    def combine(self, input_cache, ignore_mismatch):
        """Take another's entries; False where it does not fit."""
        if not input_cache._fits(ignore_mismatch):
            return False
        self.entries |= input_cache.entries
        return True

    def reset(self):
        """Forget all."""
        self.entries.clear()
        return True


class IBuilderConfig:
    """How to build. TF32 is on until it is cleared."""

    def __init__(self):
        self._flags = {flag for flag in BuilderFlag if flag.name == "TF32"}
        self._pools = {}
        self.profiles = []
        self.timing_cache = None
        self.profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY
        if _VERSION >= (8, 6):
            self.builder_optimization_level = 3

    def set_flag(self, flag):
        """Switch on."""
        self._flags.add(BuilderFlag(flag))

    def clear_flag(self, flag):
        """Switch off."""
        self._flags.discard(BuilderFlag(flag))

    def get_flag(self, flag):
        """Tell whether it is on."""
        return BuilderFlag(flag) in self._flags

    @property
    def flags(self):
        """All of them as bits."""
        return sum(1 << int(flag) for flag in self._flags)

    def set_memory_pool_limit(self, pool, pool_size):
        """Limit a pool, bytes."""
        self._pools[MemoryPoolType(pool)] = int(pool_size)

    def get_memory_pool_limit(self, pool):
        """Return the limit, bytes."""
        return self._pools.get(MemoryPoolType(pool), 40 << 30)

    def create_timing_cache(self, serialized_timing_cache):
        """Make a cache of bytes; b"" makes an empty one."""
        data = bytes(serialized_timing_cache)
        if data and not data.startswith(_TIMING.encode()):
            return None
        return ITimingCache(data)

    def set_timing_cache(self, cache, ignore_mismatch):
        """Use a cache; False, and nothing is changed, where it is another version's or device's."""
        if not cache._fits(ignore_mismatch):
            return False
        self.timing_cache = cache
        return True

    def get_timing_cache(self):
        """Return the cache in use."""
        return self.timing_cache

    def add_optimization_profile(self, profile):
        """Return the profile's index."""
        self.profiles.append(profile)
        return len(self.profiles) - 1


class Builder:
    """Makes networks, configurations and engines."""

    def __init__(self, logger):
        self._logger = logger
        self.max_threads = 1

    def create_network(self, flags=0):
        """Return an empty network; only explicit batches are taken."""
        # Flag 0 is the explicit batch, which 10 takes for granted and 11 has no flag for.
        if not flags & 1 and _VERSION[0] < 10:
            self._logger.log(
                ILogger.Severity.ERROR, "3: an implicit batch is not supported by ONNX"
            )
        return INetworkDefinition()

    def create_builder_config(self):
        """Return a configuration."""
        return IBuilderConfig()

    def create_optimization_profile(self):
        """Return an empty profile."""
        return IOptimizationProfile()

    def build_serialized_network(self, network, config):
        """Return engine bytes, or None, with the reason in the log."""
        if network.model is None:
            self._logger.log(ILogger.Severity.ERROR, "4: [network.cpp] Network must have an output")
            return None
        precision = _precision(config)
        profiles = [profile.shapes for profile in config.profiles]
        detailed = config.profiling_verbosity == ProfilingVerbosity.DETAILED
        try:
            tensorrt_build.require_ranges(network.model, precision)
            engine = tensorrt_build.engine(network.model, precision, profiles, detailed)
        except _BuildError as error:
            self._logger.log(ILogger.Severity.ERROR, str(error))
            return None
        if "warn" in faults.asked("compile"):
            self._logger.log(
                ILogger.Severity.WARNING,
                "Skipping tactic 0x0 due to insufficient memory on requested size of 1073741824",
            )
        data = engine.tobytes()
        if config.timing_cache is not None:
            config.timing_cache.entries.add(precision + hashlib.sha256(data).hexdigest()[:16])
        return IHostMemory(data)


def _precision(config):
    for flag in ("FP8", "INT8", "FP16", "BF16", "TF32"):
        if flag in BuilderFlag.__members__ and config.get_flag(BuilderFlag[flag]):
            return flag.lower()
    return "fp32"


class Runtime:
    """Reads engine bytes back."""

    def __init__(self, logger):
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine):
        """Return an engine; None, with the reason in the log, where version or chip are others."""
        if "oom" in faults.asked("load"):
            self._logger.log(
                ILogger.Severity.ERROR, "2: [executionContext.cpp] Error Code 2: OutOfMemory"
            )
            return None
        try:
            return ICudaEngine(tensorrt_build.open_engine(serialized_engine), self._logger)
        except _BuildError as error:
            self._logger.log(ILogger.Severity.ERROR, str(error))
            return None


class ICudaEngine:
    """An engine: inputs, then outputs, by name."""

    def __init__(self, program, logger):
        self._program, self.logger = program, logger
        self.execution = execution.Execution(program)
        self._inputs = {name: (dtype, dims) for name, dtype, dims in self.execution.inputs}
        self._outputs = {name: (dtype, dims) for name, dtype, dims in self.execution.outputs}
        self._names = list(self._inputs) + list(self._outputs)
        self.profiles = program.header["profiles"]
        self.name = "Unnamed Network 0"
        self.num_layers = 1

    @property
    def num_io_tensors(self):
        """Inputs and outputs together."""
        return len(self._names)

    @property
    def num_optimization_profiles(self):
        """At least one."""
        return max(1, len(self.profiles))

    if _VERSION >= (10, 1):

        @property
        def device_memory_size_v2(self):
            """Bytes of activations."""
            return 1 << 20

    if _VERSION < (11,):

        @property
        def device_memory_size(self):
            """Bytes of activations, under the name that 11 removed."""
            return 1 << 20

    def create_engine_inspector(self):
        """Return what describes the layers."""
        return EngineInspector(self._program)

    def get_tensor_name(self, index):
        """Return the name."""
        return self._names[index]

    def get_tensor_mode(self, name):
        """Tell input from output."""
        if name in self._inputs:
            return TensorIOMode.INPUT
        return TensorIOMode.OUTPUT if name in self._outputs else TensorIOMode.NONE

    def get_tensor_shape(self, name):
        """Return the shape, -1 where it is dynamic."""
        dims = self._port(name)[1]
        return tuple(dim if isinstance(dim, int) else -1 for dim in dims)

    def get_tensor_dtype(self, name):
        """Return the DataType."""
        return _datatype(self._port(name)[0])

    def _port(self, name):
        return self._inputs.get(name) or self._outputs[name]

    def get_tensor_profile_shape(self, name, profile_index):
        """Return [min, opt, max]."""
        return [tuple(shape) for shape in self.profiles[profile_index][name]]

    def serialize(self):
        """Return the engine's bytes."""
        return IHostMemory(self._program.tobytes())

    def create_execution_context(self):
        """Return a context; None where there is no memory for it."""
        return IExecutionContext(self)


class EngineInspector:
    """Describes an engine's layers, as the verbosity of its build allows."""

    def __init__(self, program):
        self._program = program

    def get_engine_information(self, format):
        """Return JSON."""
        header = self._program.header
        return tensorrt_build.layer_information(header["precision"], header.get("detailed", False))


class IExecutionContext:
    """One inference at a time: shapes, addresses, execute_async_v3."""

    #: The real one is a property, whose default is the verbosity of the build.
    nvtx_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY

    def __init__(self, engine):
        self.engine = engine
        self.active_optimization_profile = 0
        self._shapes, self._addresses = {}, {}

    def _error(self, text):
        self.engine.logger.log(ILogger.Severity.ERROR, text)
        return False

    def set_optimization_profile_async(self, profile_index, stream_handle):
        """Choose a profile."""
        if not 0 <= profile_index < self.engine.num_optimization_profiles:
            return self._error("3: [executionContext.cpp] profile {} is none".format(profile_index))
        self.active_optimization_profile = profile_index
        return True

    def set_input_shape(self, name, shape):
        """Set a dynamic input's shape; False outside of the profile."""
        shape, declared = tuple(shape), self.engine.get_tensor_shape(name)
        fits = len(shape) == len(declared) and all(d in (-1, s) for d, s in zip(declared, shape))
        if fits and -1 in declared:
            low, _, high = self.engine.get_tensor_profile_shape(
                name, self.active_optimization_profile
            )
            fits = all(a <= s <= b for a, s, b in zip(low, shape, high))
        if not fits:
            return self._error(
                "3: [executionContext.cpp::setInputShape::2068] Error Code 3: API Usage Error "
                "(Parameter check failed, condition: engineDims.d[i] == dims.d[i]. Static dimension "
                "mismatch or out of the profile while setting input shape of {} to {}.)".format(
                    name, shape
                )
            )
        self._shapes[name] = shape
        return True

    def get_tensor_shape(self, name):
        """Return the shape as far as it follows from the inputs that were set."""
        shape = self._shapes.get(name) or self.engine.get_tensor_shape(name)
        if -1 not in shape or self.engine.get_tensor_mode(name) == TensorIOMode.INPUT:
            return shape
        symbols = self._symbols()
        dims = self.engine._outputs[name][1]
        return tuple(d if isinstance(d, int) else symbols.get(d, -1) for d in dims)

    def _symbols(self):
        found = {}
        for name, shape in self._shapes.items():
            found.update(zip(self.engine._inputs[name][1], shape))
        return found

    @property
    def all_binding_shapes_specified(self):
        """Whether every input has its shape."""
        return not self.infer_shapes()

    def infer_shapes(self):
        """Return the names of inputs whose shape is missing."""
        return [n for n in self.engine._inputs if -1 in self.get_tensor_shape(n)]

    def set_tensor_address(self, name, memory):
        """Set a tensor's address in device memory."""
        if name not in self.engine._names:
            return self._error(
                "3: [executionContext.cpp] given tensor name {} is none".format(name)
            )
        self._addresses[name] = int(memory)
        return True

    def get_tensor_address(self, name):
        """Return its address, 0 if it was not set."""
        return self._addresses.get(name, 0)

    def execute_async_v3(self, stream_handle):
        """Put one inference into the stream; False where shapes or addresses are missing."""
        stream = cuda_runtime.find_stream(stream_handle)
        missing = self.infer_shapes()
        if missing:
            return self._error(
                "3: [executionContext.cpp] shape of {} is not set".format(missing[0])
            )
        unset = [name for name in self.engine._names if not self._addresses.get(name)]
        if unset or stream is None:
            return self._error(
                "3: [executionContext.cpp::enqueueV3::2666] Error Code 3: API Usage Error (Parameter "
                "check failed, condition: mContext.profileObliviousBindings. Address is not set for "
                "tensor {}. Call setInputTensorAddress or setTensorAddress before enqueue.)".format(
                    unset
                )
            )
        shapes = {name: self.get_tensor_shape(name) for name in self.engine._names}
        addresses = dict(self._addresses)
        stream.put(lambda: self._work(shapes, addresses))
        return True

    def _work(self, shapes, addresses):
        sizes = {n: volume(s) * self.engine._port(n)[0].itemsize for n, s in shapes.items()}
        device = cuda_runtime.device
        if not all(device.holds(addresses[n], size, device.memory) for n, size in sizes.items()):
            return cuda_runtime.cudaError_t.cudaErrorIllegalAddress
        views = {n: self._view(n, addresses[n], shapes[n], sizes[n]) for n in shapes}
        feeds = {name: views[name].copy() for name in self.engine._inputs}
        for name, array in zip(self.engine._outputs, self.engine.execution.run(feeds)):
            views[name][...] = array
        return None

    def _view(self, name, address, shape, size):
        import ctypes

        raw = (ctypes.c_uint8 * size).from_address(address)
        return np.frombuffer(raw, dtype=self.engine._port(name)[0]).reshape(shape)


def init_libnvinfer_plugins(logger, namespace):
    """Plug-ins: there are none."""
    return True
