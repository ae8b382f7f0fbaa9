"""ONNX Runtime's build for AMD: the real one, with a MIGraphXExecutionProvider that runs on the CPU.

Options are those of its provider in 1.23 (migraphx_execution_provider_info.h). It caches what it compiled
without the precision in the file's name, as that release does.
"""

import hashlib
import os

import numpy as np

from assay_standin import faults, provider
from assay_standin.precision import ROUNDING

PROVIDER = "MIGraphXExecutionProvider"
FLAGS = ("fp16", "bf16", "fp8", "int8")
#: Those that its arithmetic here has.
ROUNDED = ("fp16", "bf16")
OPTION, CACHE = "migraphx_{}_enable", "migraphx_model_cache_dir"
KNOWN = {"device_id", "migraphx_exhaustive_tune", "migraphx_mem_limit", CACHE}
KNOWN |= {OPTION.format(name) for name in FLAGS}
TRUE, FALSE = ("1", "True", "true"), ("0", "False", "false")


class MIGraphXSession(provider.ProviderSession):
    """MIGraphX's options, arithmetic and errors."""

    providers = (PROVIDER,)
    device = "GPU"
    no_memory = "HIP failure 2: out of memory ; GPU=0"

    def open_device(self, provider, options):
        """Refuse an unknown option, another device and an invalid flag; return the options in effect, as text."""
        unknown = sorted(set(options) - KNOWN)
        if unknown:
            raise RuntimeError("Invalid MIGraphX EP option: {}".format(unknown[0]))
        if str(options.get("device_id", "0")) != "0":
            raise RuntimeError("HIP failure 101: invalid device ordinal")
        flags = {OPTION.format(name): _flag(options, name) for name in FLAGS}
        return dict(flags, **{"device_id": "0", CACHE: str(options.get(CACHE, ""))})

    def compile_graph(self, provider, options, model):
        """Compile, unless the cache has it."""
        folder = options[CACHE]
        path = os.path.join(folder, "20f00-{}.mxr".format(_digest(model))) if folder else ""
        if path and os.path.exists(path):
            return
        if "fail" in faults.strike("compile"):
            raise RuntimeError("MIGraphX: Failed to call function: compile")
        if path:
            with open(path, "wb") as file:
                file.write(b"ASSAY-STANDIN-PROGRAM\n")

    def lower(self, array):
        """Round what is fp32 to the arithmetic of the flags."""
        options = self._loaded[PROVIDER]
        ran = next((name for name in ROUNDED if options[OPTION.format(name)] == "1"), "fp32")
        return ROUNDING[ran](array) if array.dtype == np.float32 else array


def _digest(model):
    with open(model, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def _flag(options, name):
    """Return "1" or "0"; the environment's variable goes before the option."""
    text = os.environ.get("ORT_MIGRAPHX_{}_ENABLE".format(name.upper()))
    text = text or str(options.get(OPTION.format(name), "0"))
    if text not in TRUE + FALSE:
        raise RuntimeError("Failed to parse provider option: {}".format(text))
    return str(int(text in TRUE))


def patch(onnxruntime):
    """Patch a freshly imported onnxruntime."""
    provider.patch(onnxruntime, MIGraphXSession)
