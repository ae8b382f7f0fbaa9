"""The highest rate at which a server keeps its latency bound: a bisection, each of whose steps is a run of LoadGen.

LoadGen's own FindPeakPerformance is not used: it begins at a rate that must hold already, doubles it without a limit to
what queues up, judges by the percentile alone, and leaves one log of all rates, whose test mode no checker accepts.
"""

from typing import Callable, List, NamedTuple, Optional

#: The search ends when the rate is known within this share.
PRECISION = 0.03
#: With so small a share of its time taken, an engine answers a query as it does one alone: no lower rate is tried.
ALONE = 0.1
#: By which shares the rate of the final run is lowered, one after the other, when it does not keep the bound for so long.
STEPS_DOWN = (0.0, 0.05, 0.1, 0.2, 0.4)


class Probe(NamedTuple):
    """A rate that was tried, queries/s; its latency at the percentile in ns, and whether it kept the bound."""

    rate: float
    latency_ns: int
    met: bool


def highest_rate(probe: Callable[[float], Probe], most: float, least: float) -> List[Probe]:
    """Try rates up to ``most``, which is what the engine does at its best; return them in their order.

    None below ``least`` is tried.
    """
    tried = []  # type: List[Probe]
    low, high = 0.0, most
    while high - low > PRECISION * high and (low + high) / 2 >= least:
        # From above by halves until one holds; then between it and the lowest that does not.
        rate = (low + high) / 2
        tried.append(probe(rate))
        if tried[-1].met:
            low = rate
        else:
            high = rate
    return tried


def best(tried: List[Probe]) -> Optional[Probe]:
    """The highest rate that kept the bound, None if none did."""
    return max((one for one in tried if one.met), key=lambda one: one.rate, default=None)
