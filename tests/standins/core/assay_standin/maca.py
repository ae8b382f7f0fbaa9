"""MetaX's ONNX Runtime: the real one, with a MACAExecutionProvider that runs on the CPU."""

from assay_standin import provider


class MacaSession(provider.ProviderSession):
    """MacaRT's session; it has one option, the device's number."""

    providers = ("MACAExecutionProvider",)
    device = "GPU"
    no_memory = "MACA failure 2: mcErrorMemoryAllocation ; out of memory"

    def open_device(self, provider, options):
        """There is one device."""
        if str(options.get("device_id", "0")) != "0":
            raise RuntimeError("MACA failure 101: mcErrorInvalidDevice ; invalid device ordinal")
        return {"device_id": "0"}


def patch(onnxruntime):
    """Patch a freshly imported onnxruntime."""
    provider.patch(onnxruntime, MacaSession)
