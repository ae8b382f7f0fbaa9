"""The device that vLLM found."""

from assay_standin import settings


class _Platform:
    device_type = settings.value("vllm_device", "cuda")


current_platform = _Platform()
