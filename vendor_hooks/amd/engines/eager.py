"""PyTorch without a compiler on an AMD processor; it also validates the others."""

from harness.engines.torch_host import TorchHost
from hook.processor import OnZen


class Eager(OnZen, TorchHost):
    """The case's own module, unchanged. zentorch is installed, but never imported."""


ENGINE = Eager
