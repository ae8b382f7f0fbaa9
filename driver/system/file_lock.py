"""A lock file that the kernel releases when its holder dies, and how long this process waited for some."""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class _Waits:
    seconds = 0.0


def waited_s() -> float:
    """Return the wall seconds that this process has waited for lock files so far."""
    return _Waits.seconds


@contextmanager
def locked(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on ``path``, created if missing; call ``on_wait`` once if it must wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            started = time.perf_counter()
            try:
                fcntl.flock(stream, fcntl.LOCK_EX)
            finally:
                _Waits.seconds += time.perf_counter() - started
        yield
