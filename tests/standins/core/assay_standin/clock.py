"""The clock of the tools that measure; where a test has no use for their seconds, it runs faster than the host's."""

import time

from assay_standin import settings

_RATE = float(settings.value("clock_rate"))


def now_s():
    """Return seconds: the host's, or CLOCK_RATE for each that this process has computed.

    Of a faster clock, a moment in which others have the processor would be long.
    """
    return time.perf_counter() if _RATE == 1 else time.process_time() * _RATE
