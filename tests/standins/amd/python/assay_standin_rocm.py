"""Imported at start (by a .pth file): patches onnxruntime and torch.cuda once they are imported."""

from assay_standin import after_import, migraphx_provider, torch_cuda

after_import.after_import("onnxruntime", migraphx_provider.patch)
after_import.after_import("torch", lambda torch: torch_cuda.patch(torch, "amd"))
