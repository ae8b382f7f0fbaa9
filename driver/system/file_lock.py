"""A lock file that the kernel releases when its holder dies, and how long this process waited for some."""

from __future__ import annotations

import errno
import fcntl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault

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
    """Hold an exclusive lock on ``path``, created if missing; call ``on_wait`` once if it must wait.

    Raises EnvironmentFault on a disk without locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        if not _taken(stream.fileno(), path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            if on_wait is not None:
                on_wait()
            started = time.perf_counter()
            try:
                _taken(stream.fileno(), path, fcntl.LOCK_EX)
            finally:
                _Waits.seconds += time.perf_counter() - started
        yield


WITHOUT_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""What flock says on a shared disk that is mounted without locks."""


def _taken(file: int, path: Path, how: int) -> bool:
    """Lock an open file; False if somebody else holds it. Raises EnvironmentFault on a disk without locks."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        raise EnvironmentFault(
            f"{path} cannot be locked: its disk has no locks ({error.strerror}), so two runs could "
            "make the same artifact at once",
            "mount that disk with locks (NFS with lockd, Lustre with -o flock), or choose another: "
            "ASSAY_HOME=<folder>",
        ) from error
    return True
