"""Imported at start (by a .pth file): patches torch.cuda and onnxruntime once they are imported."""

from assay_standin import after_import, torch_cuda


def _patch_onnxruntime(onnxruntime):
    # It imports numpy, which the programs of the stand-in do without.
    from assay_standin import ort_gpu

    ort_gpu.patch(onnxruntime)


after_import.after_import("torch", lambda torch: torch_cuda.patch(torch, "nvidia"))
after_import.after_import("onnxruntime", _patch_onnxruntime)
