"""The device that vLLM found."""

from assay_standin import settings


class _Platform:
    device_name = settings.value("vllm_platform", "cuda")
    device_type = settings.value("vllm_device", "cuda")


current_platform = _Platform()
if current_platform.device_name == "rocm":
    from vllm.platforms import rocm

    rocm.match_selections()
