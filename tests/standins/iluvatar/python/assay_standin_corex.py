"""Imported at start (by a .pth file): patches torch.cuda once torch is imported."""

from assay_standin import after_import, torch_cuda

after_import.after_import("torch", lambda torch: torch_cuda.patch(torch, "iluvatar"))
