"""torch.compile with its default backend, inductor, on the host's CPU: fp32 or bf16."""

from harness.engines.torch_compiled import CompiledHost

ENGINE = CompiledHost
