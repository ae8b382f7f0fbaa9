"""onnxruntime-gpu: the real ONNX Runtime, whose CUDA and TensorRT providers run on the CPU.

What is in device memory can be read and written only through copies. Options and messages are those of ONNX Runtime
1.31: core/providers/cuda and tensorrt, *_execution_provider_info.cc, core/framework/provider_options_utils.h.
"""

import hashlib
import os

import numpy as np

from assay_standin import chips, faults, settings
from assay_standin.precision import ROUNDING

CUDA, TENSORRT, CPU = (
    "CUDAExecutionProvider",
    "TensorrtExecutionProvider",
    "CPUExecutionProvider",
)
#: Every option that the providers know, with its default as the session states it.
OPTIONS = {
    CUDA: {
        "device_id": "0", "gpu_mem_limit": "18446744073709551615", "use_tf32": "1",
        "arena_extend_strategy": "kNextPowerOfTwo", "cudnn_conv_algo_search": "EXHAUSTIVE",
        "cudnn_conv_use_max_workspace": "1", "cudnn_conv1d_pad_to_nc1d": "0",
        "do_copy_in_default_stream": "1", "enable_cuda_graph": "0", "prefer_nhwc": "0",
        "tunable_op_enable": "0", "use_ep_level_unified_stream": "0", "fuse_conv_bias": "0",
        "sdpa_kernel": "0", "enable_skip_layer_norm_strict_mode": "0",
    },
    TENSORRT: {
        "device_id": "0", "trt_fp16_enable": "0", "trt_bf16_enable": "0", "trt_int8_enable": "0",
        "trt_engine_cache_enable": "0", "trt_engine_cache_path": "", "trt_timing_cache_enable": "0",
        "trt_timing_cache_path": "", "trt_max_workspace_size": "0", "trt_min_subgraph_size": "1",
        "trt_max_partition_iterations": "1000", "trt_builder_optimization_level": "3",
        "trt_profile_min_shapes": "", "trt_profile_opt_shapes": "", "trt_profile_max_shapes": "",
        "trt_cuda_graph_enable": "0", "trt_layer_norm_fp32_fallback": "0",
    },
}  # fmt: skip


class CudaValue:
    """An OrtValue in device memory."""

    def __init__(self, array):
        self._array = np.array(array)

    def device_name(self):
        """Return where it is."""
        return "cuda"

    def shape(self):
        """Return the shape."""
        return list(self._array.shape)

    def update_inplace(self, np_arr):
        """Copy an array of the same size there."""
        if np_arr.size != self._array.size or np_arr.dtype != self._array.dtype:
            raise RuntimeError("The input size of numpy array does not match the size of OrtValue.")
        self._array[...] = np_arr.reshape(self._array.shape)

    def numpy(self):
        """Copy it to the host."""
        return self._array.copy()


class GpuBinding:
    """What a session reads and writes, and in which memory."""

    def __init__(self, session):
        self._session = session
        self._inputs, self._places, self._outputs = {}, {}, []

    def bind_cpu_input(self, name, arr_on_cpu):
        """Bind an array of the host."""
        self._inputs[name] = arr_on_cpu

    def bind_ortvalue_input(self, name, ortvalue):
        """Bind a value, wherever it is."""
        self._inputs[name] = ortvalue

    def bind_output(self, name, device_type="cpu", device_id=0):
        """Have the session allocate an output there."""
        if device_type not in ("cpu", "cuda") or device_id != 0:
            raise RuntimeError("Unsupported device type: {}".format(device_type))
        self._places[name] = device_type

    def synchronize_inputs(self):
        """Wait until the inputs are there."""

    def synchronize_outputs(self):
        """Wait until the outputs are there."""

    def get_outputs(self):
        """Return the last run's outputs."""
        return self._outputs


class GpuSession:
    """Goes before ONNX Runtime's own InferenceSession: its nodes are CUDA's or TensorRT's where these were asked for."""

    value_type = None
    _gpu = ()
    _half = False

    def __init__(
        self, path_or_bytes, sess_options=None, providers=None, provider_options=None, **kwargs
    ):
        asked = [(p, {}) if isinstance(p, str) else p for p in providers or [CPU]]
        unknown = [name for name, _ in asked if name not in (CUDA, TENSORRT, CPU)]
        if unknown:
            raise ValueError(
                "Specified provider {!r} is not in available provider names".format(unknown[0])
            )
        self._options = {name: _checked(name, given) for name, given in asked if name != CPU}
        # A provider whose libraries are missing is left out, with a warning.
        missing = (settings.value("ort_missing") or "").split(",")
        self._gpu = tuple(name for name in self._options if name not in missing)
        if self._gpu and "oom" in faults.strike("load"):
            raise RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc(&p, size);")
        super().__init__(path_or_bytes, sess_options, providers=[CPU], **kwargs)
        if TENSORRT in self._gpu:
            self._half = self._options[TENSORRT]["trt_fp16_enable"] == "1"
            _engine(self._options[TENSORRT], path_or_bytes)

    def get_providers(self):
        """Return the providers that were loaded, best first."""
        return [*self._gpu, CPU] if self._gpu else super().get_providers()

    def get_provider_options(self):
        """Return every option of each."""
        own = {name: dict(self._options[name]) for name in self._gpu}
        return dict(own, **super().get_provider_options())

    def get_provider_graph_assignment_info(self):
        """Return which provider got which nodes."""
        found = super().get_provider_graph_assignment_info()
        if not self._gpu:
            return found
        left, taken = _left(), {}
        for node in (node for one in found for node in one.get_nodes()):
            taken.setdefault(_taker(node.op_type, self._gpu, left), []).append(node)
        return [_Assigned(provider, nodes) for provider, nodes in taken.items()]

    def io_binding(self):
        """Return an IOBinding."""
        return GpuBinding(self) if self._gpu else super().io_binding()

    def run(self, output_names, input_feed, run_options=None):
        """Run one batch of the host's arrays."""
        outputs = super().run(output_names, self._lowered(input_feed), run_options)
        if not self._gpu:
            return outputs
        faults.strike("infer")
        return faults.spoil([self._round(array) for array in outputs])

    def run_with_iobinding(self, iobinding, run_options=None):
        """Run on bound values."""
        if not isinstance(iobinding, GpuBinding):
            return super().run_with_iobinding(iobinding, run_options)
        feeds = {name: _array(value) for name, value in iobinding._inputs.items()}
        names = list(iobinding._places)
        outputs = self.run(names, feeds, run_options)
        host = self.value_type.ortvalue_from_numpy
        iobinding._outputs = [
            CudaValue(array) if iobinding._places[name] == "cuda" else host(array)
            for name, array in zip(names, outputs)
        ]
        return None

    def _lowered(self, feed):
        return {name: self._round(array) for name, array in feed.items()} if self._gpu else feed

    def _round(self, array):
        lower = self._half and array.dtype == np.float32
        return ROUNDING["fp16"](array) if lower else array


class _Assigned:
    """What a session says of a subgraph."""

    def __init__(self, ep_name, nodes):
        self.ep_name, self._nodes = ep_name, nodes

    def get_nodes(self):
        """Return the nodes."""
        return self._nodes


def _left():
    """Return provider → operators that it leaves, by the settings ort_left_by_cuda and ort_left_by_tensorrt."""
    names = {CUDA: "ort_left_by_cuda", TENSORRT: "ort_left_by_tensorrt"}
    return {one: (settings.value(name) or "").split(",") for one, name in names.items()}


def _taker(operator, providers, left):
    return next((one for one in providers if operator not in left[one]), CPU)


def _checked(provider, given):
    """Return all options of a provider; raises what ONNX Runtime does for one that it does not know."""
    known = OPTIONS[provider]
    for name, value in given.items():
        if name not in known:
            raise ValueError('Unknown provider option: "{}".'.format(name))
        if name == "device_id" and str(value) != "0":
            raise RuntimeError(
                "Invalid device ID: {}, must be between 0 (inclusive) and 1 (exclusive).".format(
                    value
                )
            )
    stated = {name: _stated(str(value)) for name, value in given.items()}
    return dict(known, **stated)


def _stated(value):
    return {"true": "1", "True": "1", "false": "0", "False": "0"}.get(value, value)


def _engine(options, path):
    """Build an engine, or find it in the cache."""
    with open(path, "rb") as model:
        digest = hashlib.sha256(model.read()).hexdigest()[:16]
    capability = chips.chip("nvidia").kind.replace(".", "")
    kind = "fp16_" if options["trt_fp16_enable"] == "1" else ""
    name = "TensorrtExecutionProvider_TRTKernel_graph_main_{}_0_0_{}sm{}.engine".format(
        digest, kind, capability
    )
    file = os.path.join(options["trt_engine_cache_path"], name)
    cached = options["trt_engine_cache_enable"] == "1"
    if cached and os.path.isfile(file):
        return
    if "fail" in faults.strike("compile"):
        raise RuntimeError("TensorRT EP failed to create engine from network.")
    if cached:
        with open(file, "wb") as out:
            out.write(b"ASSAY-STANDIN-PROGRAM\n")


def _array(value):
    if isinstance(value, CudaValue):
        return value._array
    return value.numpy() if hasattr(value, "numpy") else value


def patch(onnxruntime):
    """Patch a freshly imported onnxruntime."""
    if getattr(onnxruntime, "__assay_standin__", False):
        return
    real, real_providers = onnxruntime.OrtValue, onnxruntime.get_available_providers

    class OrtValue(real):
        """The real one; on cuda, device memory."""

        @classmethod
        def ortvalue_from_numpy(cls, numpy_obj, device_type="cpu", device_id=0, *others):
            """Make a value of an array."""
            if device_type != "cuda":
                return real.ortvalue_from_numpy(numpy_obj, device_type, device_id, *others)
            return CudaValue(numpy_obj)

    bases = (GpuSession, onnxruntime.InferenceSession)
    onnxruntime.InferenceSession = type("InferenceSession", bases, {"value_type": real})
    onnxruntime.OrtValue = OrtValue
    onnxruntime.get_available_providers = lambda: [TENSORRT, CUDA, *real_providers()]
    onnxruntime.get_device = lambda: "GPU"
    onnxruntime.__assay_standin__ = True
