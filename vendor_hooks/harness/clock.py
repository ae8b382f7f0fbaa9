"""The only clock of the guest, in monotonic nanoseconds; nothing else in the guest reads the time."""

import time
from typing import Any, Dict

NS_PER_S = 1000000000


def now_ns() -> int:
    """Nanoseconds of a monotonic clock with an arbitrary start; only differences are meaningful."""
    return time.perf_counter_ns()


def description() -> Dict[str, Any]:
    """The clock as the operating system describes it, for the report."""
    info = time.get_clock_info("perf_counter")
    return {"implementation": info.implementation, "resolution_s": info.resolution}
