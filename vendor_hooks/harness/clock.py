"""The one clock of the guest: monotonic nanoseconds. Nothing else in the guest reads the time."""

import time

NS_PER_S = 1000000000


def now_ns():
    """Nanoseconds of a monotonic clock with an arbitrary start; only differences mean something."""
    return time.perf_counter_ns()


def description():
    """The clock as the operating system describes it, for the report."""
    info = time.get_clock_info("perf_counter")
    return {"implementation": info.implementation, "resolution_s": info.resolution}
