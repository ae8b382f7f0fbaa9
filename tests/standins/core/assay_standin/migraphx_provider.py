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
KNOWN = {"device_id", "migraphx_exhaustive_tune", "migraphx_mem_limit", "migraphx_model_cache_dir"}
KNOWN |= {"migraphx_{}_enable".format(name) for name in FLAGS}
TRUE, FALSE = ("1", "True", "true"), ("0", "False", "false")


class MIGraphXSession(provider.ProviderSession):
    """MIGraphX's options, arithmetic and errors."""

    provider = PROVIDER

    def open_device(self, model, options):
        """Refuse unknown options and another device; compile, unless the cache has it."""
        given = {key: str(value) for each in options for key, value in each.items()}
        unknown = sorted(set(given) - KNOWN)
        if unknown:
            raise RuntimeError("Invalid MIGraphX EP option: {}".format(unknown[0]))
        if given.get("device_id", "0") != "0":
            raise RuntimeError("HIP failure 101: invalid device ordinal")
        if "oom" in faults.strike("load"):
            raise RuntimeError("HIP failure 2: out of memory ; GPU=0")
        self._flags = {name: self._flag(given, name) for name in FLAGS}
        self._compile(model, given.get("migraphx_model_cache_dir", ""))

    @staticmethod
    def _flag(given, name):
        text = os.environ.get("ORT_MIGRAPHX_{}_ENABLE".format(name.upper()))
        # The variable goes before the option.
        text = text or given.get("migraphx_{}_enable".format(name), "0")
        if text not in TRUE + FALSE:
            raise RuntimeError("Failed to parse provider option: {}".format(text))
        return text in TRUE

    def _compile(self, model, folder):
        with open(model, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()[:16]
        path = os.path.join(folder, "20f00-{}.mxr".format(digest)) if folder else ""
        if path and os.path.exists(path):
            return
        if "fail" in faults.strike("compile"):
            raise RuntimeError("MIGraphX: Failed to call function: compile")
        if path:
            with open(path, "wb") as file:
                file.write(b"ASSAY-STANDIN-PROGRAM\n")

    def get_provider_options(self):
        """Return the options in effect, as text."""
        if not self._own:
            return super().get_provider_options()
        flags = {"migraphx_{}_enable".format(n): str(int(on)) for n, on in self._flags.items()}
        return {PROVIDER: dict(flags, device_id="0"), "CPUExecutionProvider": {}}

    def get_provider_graph_assignment_info(self):
        """Return ONNX Runtime's assignment, with what the provider takes attributed to it."""
        found = super().get_provider_graph_assignment_info()
        return [part for one in found for part in self._parts(one)] if self._own else found

    def _parts(self, real):
        """A part of the graph, split into what the provider takes and what it leaves."""
        taken = [node for node in real.get_nodes() if self.takes(node.op_type)]
        left = [node for node in real.get_nodes() if not self.takes(node.op_type)]
        return [_Assigned(PROVIDER, taken), _Assigned(real.ep_name, left)]

    def computed(self, outputs):
        """Round what is fp32 to the arithmetic of the flags."""
        ran = next((name for name in ("fp16", "bf16") if self._flags[name]), "fp32")
        return [ROUNDING[ran](a) if a.dtype == np.float32 else a for a in outputs]


class _Assigned:
    """Nodes of the graph under the name of whoever runs them."""

    def __init__(self, ep_name, nodes):
        self.ep_name, self._nodes = ep_name, nodes

    def get_nodes(self):
        """Return the nodes."""
        return self._nodes


def patch(onnxruntime):
    """Patch a freshly imported onnxruntime."""
    provider.patch(onnxruntime, MIGraphXSession)
