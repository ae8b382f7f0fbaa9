"""MetaX's ONNX Runtime: the real one, with a MACAExecutionProvider that runs on the CPU."""

from assay_standin import faults, provider

PROVIDER = "MACAExecutionProvider"


class MacaSession(provider.ProviderSession):
    """MACA's errors."""

    provider = PROVIDER

    def open_device(self, model, options):
        """Refuse another device, and memory that is full where that is asked for."""
        for each in options:
            if str(each.get("device_id", "0")) != "0":
                raise RuntimeError(
                    "MACA failure 101: mcErrorInvalidDevice ; invalid device ordinal"
                )
        if "oom" in faults.strike("load"):
            raise RuntimeError("MACA failure 2: mcErrorMemoryAllocation ; out of memory")


def patch(onnxruntime):
    """Patch a freshly imported onnxruntime."""
    provider.patch(onnxruntime, MacaSession)
