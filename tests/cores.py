"""The processors: how busy they are, containers and all, and what keeps numpy from starting a thread for each."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

STAT = Path("/proc/stat")
IDLE = (3, 4)
"""Of the first line of /proc/stat: idle and iowait (proc_stat(5))."""
COUNTED = 8
"""guest and guest_nice, which follow, are in user and nice already."""


ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""OpenBLAS starts a thread for each processor when numpy is imported, which waits for its first work by spinning: 0.09
of the 0.21 processor seconds that the import takes on two processors. The tests' products are small."""


class CoreTimes(NamedTuple):
    """Ticks of all processors since the machine started."""

    idle: int
    total: int


def core_times(text: str | None = None) -> CoreTimes | None:
    """Return the ticks in ``text``, by default /proc/stat; None on a system without it."""
    if text is None:
        if not STAT.exists():
            return None
        text = STAT.read_text(encoding="ascii")
    ticks = [int(field) for field in text.split("\n", 1)[0].split()[1 : COUNTED + 1]]
    return CoreTimes(idle=sum(ticks[place] for place in IDLE), total=sum(ticks))


def busy_share(before: CoreTimes, after: CoreTimes) -> float:
    """Return which part of the processors' time between two readings was used, from 0 to 1."""
    total = after.total - before.total
    return 1 - (after.idle - before.idle) / total if total else 0.0
