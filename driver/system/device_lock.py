"""One job at a time per device of this host, across users, ASSAY_HOMEs and checkouts.

A lock is a file, locked with flock, in a folder that all users of the host share. The kernel releases it
when its holder ends, for whatever reason. The file names the holder, to show to those who wait.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import stat
import time
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.models.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ASK_AGAIN_S = 0.25
SHARED_FOLDER = 0o1777
SHARED_FILE = 0o666
LONGEST_RECORD = 4096


class Holder(Frozen):
    """The holder of a device: process, user, job, and start of the lock (UTC, ISO 8601)."""

    pid: int
    user: str
    job: str
    since: str

    def text(self, now: datetime) -> str:
        """Return the holder for display, with the minutes since the start of the lock."""
        try:
            since = datetime.fromisoformat(self.since)
            minutes = max(0, int((now - since).total_seconds() // 60))
        except (ValueError, TypeError):
            return f"pid {self.pid} of {self.user} ({self.job})"
        return (
            f"pid {self.pid} of {self.user} ({self.job}), since {since:%H:%M:%S} UTC, {minutes} min"
        )


def this_process(job: str) -> Holder:
    """Return this process as the holder."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Holder(pid=os.getpid(), user=_user(), job=job, since=now)


@contextmanager
def devices_locked(
    folder: Path,
    devices: Sequence[str],
    holder: Holder,
    *,
    wait_s: float | None,
    on_wait: Callable[[str], None],
) -> Iterator[None]:
    """Hold the locks of ``devices``; ``on_wait`` is called with a message once per holder waited for.

    Raises EnvironmentFault if a device is still in use after ``wait_s`` (None: no limit), and if the
    folder cannot be used.
    """
    deadline = None if wait_s is None else time.monotonic() + wait_s
    with ExitStack() as held:
        # The same order for everybody: runs on devices 0,1 and 1,0 would deadlock.
        for device in sorted(set(devices)):
            path = folder / re.sub(r"[^A-Za-z0-9._-]", "_", device)
            file = _acquired(path, device, deadline, on_wait)
            held.callback(os.close, file)
            _write(file, holder)
        yield


def _acquired(
    path: Path, device: str, deadline: float | None, on_wait: Callable[[str], None]
) -> int:
    """Return the descriptor of the lock file, locked."""
    last: Holder | None = None
    waiting = False
    while True:
        file = _opened(path)
        try:
            if _locks(file, path):
                return file
            by = _holder(file) or _holder_soon(file)
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        who = by.text(datetime.now(UTC)) if by else "another run"
        if deadline is not None and time.monotonic() >= deadline:
            raise EnvironmentFault(
                f"device {device} is in use by {who}",
                "wait for it (leave WAIT out), end that run, or choose another DEVICE",
            )
        if not waiting or by != last:
            last, waiting = by, True
            on_wait(f"device {device} is in use by {who}; waiting for it (WAIT=0 fails instead)")
        time.sleep(ASK_AGAIN_S)


def _locks(file: int, path: Path) -> bool:
    """Try to lock; False if somebody else holds it, or if the file at ``path`` was replaced."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(file)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _opened(path: Path) -> int:
    """Open the lock file for every user; a link is refused, as it might lead anywhere."""
    try:
        _make_folder(path.parent)
        return _open_shared(path)
    except OSError as error:
        raise EnvironmentFault(
            f"the lock file {path} cannot be used: {error.strerror}; without it two runs could share a device",
            "make its folder writable for everybody (chmod 1777), or choose another: ASSAY_LOCKS=<folder>",
        ) from error


def _open_shared(path: Path) -> int:
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    # Without O_CREAT first: in a shared folder the kernel refuses it for others' files (protected_regular).
    with suppress(FileNotFoundError):
        try:
            return os.open(path, os.O_RDWR | flags)
        except PermissionError:
            return os.open(path, os.O_RDONLY | flags)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, SHARED_FILE)
    except FileExistsError:
        return _open_shared(path)
    # Ignore the umask: the next user must be able to read the holder.
    os.fchmod(file, SHARED_FILE)
    return file


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise NotADirectoryError(0, "it is a link or not a folder", str(folder)) from None
        return
    folder.chmod(SHARED_FOLDER)


def _write(file: int, holder: Holder) -> None:
    # Another user's file may not be writable for us; it is locked nevertheless.
    with suppress(OSError):
        os.ftruncate(file, 0)
        os.pwrite(file, holder.model_dump_json().encode(), 0)


def _holder(file: int) -> Holder | None:
    try:
        return Holder.model_validate(json.loads(os.pread(file, LONGEST_RECORD, 0)))
    except (OSError, ValueError):
        return None


def _holder_soon(file: int) -> Holder | None:
    """Return the holder of a lock, waiting briefly: it writes its name just after locking."""
    time.sleep(ASK_AGAIN_S)
    return _holder(file)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
