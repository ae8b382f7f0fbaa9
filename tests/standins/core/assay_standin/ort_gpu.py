"""onnxruntime-gpu: the real ONNX Runtime, whose CUDA and TensorRT providers run on the CPU.

What is in device memory can be read and written only through copies. Options and messages are those of ONNX Runtime
1.31: core/providers/cuda and tensorrt, *_execution_provider_info.cc, core/framework/provider_options_utils.h.
"""

import hashlib
import os

import numpy as np

from assay_standin import chips, faults, provider
from assay_standin.precision import ROUNDING

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
#: Every option that the providers know, with its default as the session states it.
OPTIONS = {
    CUDA: {
        "arena_extend_strategy": "kNextPowerOfTwo", "cudnn_conv1d_pad_to_nc1d": "0",
        "cudnn_conv_algo_search": "EXHAUSTIVE", "cudnn_conv_use_max_workspace": "1",
        "device_id": "0", "do_copy_in_default_stream": "1", "enable_cuda_graph": "0",
        "enable_cudnn": "1", "external_data_loader_reading_threads": "4", "fuse_conv_bias": "0",
        "gpu_external_alloc": "0", "gpu_external_empty_cache": "0", "gpu_external_free": "0",
        "gpu_mem_limit": "18446744073709551615", "has_user_compute_stream": "0",
        "prefer_nhwc": "0", "sdpa_kernel": "0", "tunable_op_enable": "0",
        "tunable_op_max_tuning_duration_ms": "0", "tunable_op_tuning_enable": "0",
        "use_ep_level_unified_stream": "0", "use_tf32": "1", "user_compute_stream": "0",
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


class GpuSession(provider.ProviderSession):
    """CUDA's and TensorRT's options, arithmetic and errors."""

    providers = (TENSORRT, CUDA)
    device = "GPU"
    memory = "cuda"
    no_memory = "CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc(&p, size);"

    def open_device(self, provider, options):
        """Return all options; refuse one that the provider does not know, and a device that is not there."""
        for name in options:
            if name not in OPTIONS[provider]:
                raise ValueError('Unknown provider option: "{}".'.format(name))
        number = str(options.get("device_id", "0"))
        if number != "0":
            raise RuntimeError(
                "Invalid device ID: {}, must be between 0 (inclusive) and 1 (exclusive).".format(
                    number
                )
            )
        stated = {name: _stated(str(value)) for name, value in options.items()}
        return dict(OPTIONS[provider], **stated)

    def compile_graph(self, provider, options, model):
        """Build TensorRT's engine, or find it in the cache."""
        if provider == TENSORRT:
            _engine(options, model)

    def lower(self, array):
        """Round to fp16 where TensorRT may; CUDA's kernels compute in the types of the graph."""
        half = self._loaded.get(TENSORRT, {}).get("trt_fp16_enable") == "1"
        return ROUNDING["fp16"](array) if half and array.dtype == np.float32 else array


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


def patch(onnxruntime):
    """Patch a freshly imported onnxruntime."""
    provider.patch(onnxruntime, GpuSession)
