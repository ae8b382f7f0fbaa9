"""A runner's clock that a test puts forward, so that a time limit comes after what the test waits for."""

from __future__ import annotations

import time


class Clock:
    """Stands in for the module ``time`` in a runner."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def monotonic(self) -> float:
        """Return the true time, and what was put forward."""
        return time.monotonic() + self._ahead_s

    def pass_s(self, seconds: float) -> None:
        """Put the clock forward."""
        self._ahead_s += seconds
