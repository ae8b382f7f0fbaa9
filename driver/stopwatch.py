"""Where a job's time went: rows that add up to its whole wall time, without our own instruments'."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from driver.models.result import TimeShare

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopwatch:
    """Counts wall seconds by what they were spent on, from its making."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._spent: dict[str, float] = {}
        self._excluded_s = 0.0

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Book the block's wall time on ``what``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.book(what, time.perf_counter() - started)

    @contextmanager
    def excluding(self) -> Iterator[None]:
        """Count the block's wall time to nothing: for waits that are no part of the job.

        Not inside ``timing``, which would count it.
        """
        started = time.perf_counter()
        try:
            yield
        finally:
            self._excluded_s += time.perf_counter() - started

    @property
    def excluded_s(self) -> float:
        """The wall seconds that count to nothing."""
        return self._excluded_s

    def book(self, what: str, wall_s: float) -> None:
        """Add seconds to ``what``."""
        self._spent[what] = self._spent.get(what, 0.0) + wall_s

    def elapsed_s(self) -> float:
        """Return the wall seconds since the making, without what was excluded."""
        return time.perf_counter() - self._started - self._excluded_s

    def shares(self) -> tuple[TimeShare, ...]:
        """Return the rows; the last is the driver's own work, so that they add up to the whole."""
        rows = [TimeShare(what=what, wall_s=wall_s) for what, wall_s in self._spent.items()]
        own = max(0.0, self.elapsed_s() - sum(self._spent.values()))
        return (*rows, TimeShare(what="driver", wall_s=own))
