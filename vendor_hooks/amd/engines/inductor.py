"""torch.compile with its default backend, inductor, on an AMD processor: what zentorch is compared with."""

from harness.engines.torch_compiled import CompiledHost
from hook.processor import OnZen


class Inductor(OnZen, CompiledHost):
    """zentorch is installed, but never imported: importing it changes inductor's decompositions."""


ENGINE = Inductor
