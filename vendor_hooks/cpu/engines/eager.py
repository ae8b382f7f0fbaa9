"""PyTorch without a compiler on the host's CPU: the framework's own inference, fp32 or bf16."""

from harness.engines.torch_host import TorchHost

ENGINE = TorchHost
