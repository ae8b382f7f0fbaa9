"""The only clock of the guest, in monotonic nanoseconds; nothing else in the guest reads the time."""

import time
from typing import Any, Dict

NS_PER_S = 1000000000


def now_ns() -> int:
    """Nanoseconds of a monotonic clock with an arbitrary start; only differences are meaningful."""
    return time.perf_counter_ns()


def processor_ns() -> int:
    """Nanoseconds that processors have spent on this process, all its threads together.

    For choices that other work on the machine must not change; nothing that is reported is measured by it.
    """
    return time.process_time_ns()


def description() -> Dict[str, Any]:
    """The clock as the operating system describes it, for the report."""
    info = time.get_clock_info("perf_counter")
    return {"implementation": info.implementation, "resolution_s": info.resolution}
