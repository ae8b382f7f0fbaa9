"""torch.compile with its default backend, inductor (since PyTorch 2)."""

from harness.engines.torch_inductor import InductorCuda


class Inductor(InductorCuda):
    """The harness's engine, unchanged."""


ENGINE = Inductor
