"""Ends what a guest leaves running after it killed its own guard: the driver adopts such orphans."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from driver.runners.guard import PR_SET_CHILD_SUBREAPER, descendants
from driver.system.command import running_commands

if TYPE_CHECKING:
    from collections.abc import Iterator

PR_GET_CHILD_SUBREAPER = 37
PATIENCE_S = 10.0
_libc = ctypes.CDLL(None, use_errno=True)


class Orphans:
    """The processes that became children of this one, and that it did not start."""

    def __init__(self) -> None:
        self._before = set(descendants(os.getpid(), zombies=True))

    def end(self) -> None:
        """Kill and reap them and their descendants, again and again: one may fork while we look."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = self._left()
            if not found:
                return
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for pid in found:
                # Those that are not our own children are reaped by their parents.
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.01)

    def _left(self) -> set[int]:
        # Monitors run meanwhile: their commands are ours, and so are their children.
        with running_commands() as commands:
            ours = {pid for command in commands for pid in (command, *descendants(command))}
            return set(descendants(os.getpid(), zombies=True)) - self._before - ours


@contextmanager
def adopted() -> Iterator[Orphans]:
    """Have orphans among our descendants become our children, not init's, until the block ends."""
    before = ctypes.c_int()
    _libc.prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    orphans = Orphans()
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield orphans
    finally:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)
