"""PyTorch on MACA, which presents itself as torch.cuda: fp32, tf32, fp16, bf16. It also validates macart."""

from harness.errors import StageFailure
from harness.torch_cuda import TorchCuda


class Eager(TorchCuda):
    """The case's own module, as it is, on a PyTorch that was built for MACA."""

    def _open(self):
        """Torch with a device, and with MACA below it: another vendor's GPU must not be booked here."""
        torch = super()._open()
        if maca_version(torch) is None:
            raise StageFailure(
                "image",
                "PyTorch {} was not built for MACA, its device is {}".format(
                    torch.__version__, torch.cuda.get_device_name()
                ),
                "use the stack's image (RUNNER=docker), whose base has MetaX's PyTorch",
            )
        return torch

    def effective(self, torch, module):
        """The settings as torch and the module report them, and MACA's version."""
        return dict(super().effective(torch, module), maca=maca_version(torch))

    def versions(self):
        """Those of torch and transformers, and MACA's."""
        import torch

        return dict(super().versions(), maca=maca_version(torch))


def maca_version(torch):
    """``2.19.2.5`` of torch.version.maca, or of a PyTorch named 2.0.0+mc2.19.2.5; None where there is none."""
    named = getattr(torch.version, "maca", None)
    return named or torch.__version__.partition("+mc")[2] or None


ENGINE = Eager
