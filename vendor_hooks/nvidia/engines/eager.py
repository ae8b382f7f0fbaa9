"""PyTorch without a compiler on the GPU: fp32, tf32, fp16, bf16. It also validates the others."""

from harness.engines.torch_cuda import TorchCuda


class Eager(TorchCuda):
    """The case's own module, unchanged."""


ENGINE = Eager
