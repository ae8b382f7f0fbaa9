"""TensorRT as a provider of ONNX Runtime: fp32, tf32, fp16. What it leaves goes to CUDA's provider, and is named."""

import os

from hook.ort_engine import NvidiaOnnxRuntime

#: 0 keeps NVIDIA's libraries from TF32, whatever a program asks for; the provider has no option for it
#: (TensorRT's developer guide, "TF32"; ONNX Runtime's issue 26029).
TF32_OVERRIDE = "NVIDIA_TF32_OVERRIDE"
UNREAD = (
    "ONNX Runtime's provider builds TensorRT's engines without the details of their layers: its options permit an "
    "arithmetic and force none"
)


class OrtTensorRt(NvidiaOnnxRuntime):
    """The provider keeps engines and timings in the cache; static shapes need no profiles."""

    def _arithmetic(self):
        """What options and environment permit."""
        options = self._session.get_provider_options().get(self._provider, {})
        wide = "fp32" if os.environ.get(TF32_OVERRIDE) == "0" else "tf32"
        half = options.get("trt_fp16_enable") == "1"
        return {
            "arithmetic": "fp16" if half else wide,
            "arithmetic_unread": UNREAD,
            TF32_OVERRIDE.lower(): os.environ.get(TF32_OVERRIDE),
        }


ENGINE = OrtTensorRt
