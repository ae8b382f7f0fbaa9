"""PyTorch on MACA, which appears as torch.cuda: fp32, tf32, fp16, bf16. It also validates macart."""

import re

from harness.engines.torch_cuda import TorchCuda
from harness.errors import StageFailure

_MACA = re.compile(r"\+(?:mc|metax)(\d[\d.]*)")


class Eager(TorchCuda):
    """The case's own module, unchanged, on a PyTorch that was built for MACA."""

    def open_torch(self):
        """Import torch; require a device, and MACA, so that another vendor's GPU is not reported as MetaX's."""
        torch = super().open_torch()
        if maca_version(torch) is None:
            raise StageFailure(
                "image",
                "PyTorch {} was not built for MACA; its device is {}".format(
                    torch.__version__, torch.cuda.get_device_name()
                ),
                "use the stack's image (RUNNER=docker), whose base image has MetaX's PyTorch",
            )
        return torch

    def effective(self, torch, module):
        """The settings, as torch and the module report them, and MACA's version."""
        return dict(super().effective(torch, module), maca=maca_version(torch))

    def versions(self):
        """Versions of torch, transformers and MACA."""
        import torch

        return dict(super().versions(), maca=maca_version(torch))


def maca_version(torch):
    """``2.19.2.5`` from torch.version.maca, or from a PyTorch version; else None.

    2.0.0+mc2.19.2.5 is that of MACA 2, 2.10.0+metax3.8.1.0 that of MACA 3.
    """
    named = getattr(torch.version, "maca", None)
    if named:
        return named
    found = _MACA.search(torch.__version__)
    return found.group(1) if found else None


ENGINE = Eager
