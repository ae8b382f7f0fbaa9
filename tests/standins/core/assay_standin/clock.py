"""The clock of the tools that measure; where a test has no use for their seconds, it runs faster than the host's."""

import time

from assay_standin import settings

_RATE = float(settings.value("clock_rate"))


def now_s():
    """Return seconds, of which CLOCK_RATE pass in one of the host's."""
    return time.perf_counter() * _RATE
