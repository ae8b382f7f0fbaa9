"""Where a job's time went: rows that add up to its wall time, without waits for monitors and other runs."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from driver.models.result import TimeShare
from driver.system.file_lock import waited_s

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopwatch:
    """Attributes the wall seconds since its creation to what they were spent on.

    Waits for other runs that hold a lock file are no part of the job, wherever they happen.
    """

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._waited_before_s = waited_s()
        self._spent: dict[str, float] = {}
        self._excluded_s = 0.0

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Attribute the block's wall time to ``what``."""
        started = _working_s()
        try:
            yield
        finally:
            self.add(what, _working_s() - started)

    @contextmanager
    def excluding(self) -> Iterator[None]:
        """Exclude the block's wall time from the job, for waits on our own instruments.

        Do not use it inside ``timing``, which would count it.
        """
        started = _working_s()
        try:
            yield
        finally:
            self._excluded_s += _working_s() - started

    @property
    def excluded_s(self) -> float:
        """The excluded wall seconds, without waits for lock files."""
        return self._excluded_s

    @property
    def lock_wait_s(self) -> float:
        """The wall seconds of waiting for lock files of other runs since creation."""
        return waited_s() - self._waited_before_s

    def add(self, what: str, wall_s: float) -> None:
        """Attribute seconds to ``what``."""
        self._spent[what] = self._spent.get(what, 0.0) + wall_s

    def elapsed_s(self) -> float:
        """Return the wall seconds since creation, without the excluded ones and waits for locks."""
        return time.perf_counter() - self._started - self._excluded_s - self.lock_wait_s

    def shares(self, whole_s: float) -> tuple[TimeShare, ...]:
        """Return the rows, which add up to ``whole_s``, as read from ``elapsed_s``.

        The last is the driver's own work.
        """
        rows = [TimeShare(what=what, wall_s=wall_s) for what, wall_s in self._spent.items()]
        own = max(0.0, whole_s - sum(self._spent.values()))
        return (*rows, TimeShare(what="driver", wall_s=own))


def _working_s() -> float:
    """Return a clock of wall seconds that stands still while this process waits for a lock file."""
    return time.perf_counter() - waited_s()
