"""Imported at start (by a .pth file): from CANN 9 on, there is an ONNX Runtime with CANN's provider."""

from assay_standin import after_import, settings


def _patch(onnxruntime):
    from assay_standin import cann_provider  # it needs numpy, which most programs do not

    cann_provider.patch(onnxruntime)


if settings.value("cann").startswith("9."):
    after_import.after_import("onnxruntime", _patch)
