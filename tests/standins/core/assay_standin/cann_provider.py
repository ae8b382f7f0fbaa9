"""onnxruntime-cann 1.24.4: ONNX Runtime, with a CANNExecutionProvider that runs on the CPU.

Options, defaults and refusals: ONNX Runtime, cann_execution_provider_info.cc and provider_options_utils.h, as
far as the released wheel has them (it has no precision_mode_v2).
"""

import numpy as np

from assay_standin import precision, provider

PROVIDER = "CANNExecutionProvider"
DEFAULTS = {
    "device_id": "0",
    "npu_mem_limit": str((1 << 64) - 1),
    "arena_extend_strategy": "kNextPowerOfTwo",
    "enable_cann_graph": "1",
    "enable_cann_subgraph": "0",
    "dump_graphs": "0",
    "dump_om_model": "1",
    "precision_mode": "",
    "op_select_impl_mode": "",
    "optypelist_for_implmode": "",
}
#: What the mode does to inputs and outputs; without one, CANN's own default is force_fp16.
ROUNDS = {
    "": "fp16",
    "force_fp16": "fp16",
    "allow_mix_precision": "fp16",
    "allow_mix_precision_fp16": "fp16",
    "allow_fp32_to_fp16": "fp16",
    "force_fp32": "fp32",
    "cube_fp16in_fp32out": "fp32",
    "must_keep_origin_dtype": "fp32",
}


class CannSession(provider.ProviderSession):
    """A session whose graph CANN would compile when it is loaded."""

    providers = (PROVIDER,)
    no_memory = "CANN failure 207001: EL0004: Failed to allocate memory."
    #: Some that the provider's list of operators (cann_graph.cc) lacks.
    host_operators = (
        "LayerNormalization",
        "Gelu",
        "IsNaN",
        "IsInf",
        "Einsum",
        "Trilu",
        "GridSample",
    )

    def open_device(self, provider, options):
        """Refuse an unknown option, a device that is not there, and a mode that CANN does not know."""
        for name in options:
            if name not in DEFAULTS:
                raise ValueError('Unknown provider option: "{}".'.format(name))
        reported = dict(DEFAULTS, **options)
        if reported["device_id"] != "0":
            raise ValueError(
                "Invalid device ID: {}, must be between 0 (inclusive) and 1 (exclusive).".format(
                    reported["device_id"]
                )
            )
        if reported["precision_mode"] not in ROUNDS:
            raise RuntimeError(
                "Error in execution: ge::aclgrphBuildInitialize(options), E10001: Value [{}] for parameter "
                "[ge.exec.precision_mode] is invalid.".format(reported["precision_mode"])
            )
        return reported

    def lower(self, array):
        """Round floats to what the mode keeps of them."""
        if array.dtype != np.float32:
            return array
        return precision.ROUNDING[ROUNDS[self._loaded[PROVIDER]["precision_mode"]]](array)


def patch(onnxruntime):
    """Patch a freshly imported onnxruntime."""
    provider.patch(onnxruntime, CannSession)
