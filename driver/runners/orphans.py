"""Ends what would outlive its stage: a guest's processes whose guard, or whose container engine, is gone."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.runners.guard import PR_SET_CHILD_SUBREAPER, descendants
from driver.system.command import running_commands

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PR_GET_CHILD_SUBREAPER = 37
PATIENCE_S = 10.0
ENDING_MS = 10_000
"""A killed container takes so long at most to give back its memory and its device."""
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


class Init:
    """The first process of a container, by a descriptor: its number may become another's.

    Without its engine, a container runs on until that is started again.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Init | None:
        """Return it by what `docker inspect` says; None where it is no process of this host's, or none of ours.

        The engine may be in a virtual machine, on another host or in another pid namespace.
        """
        pid = found["State"].get("Pid") or 0
        if pid <= 1:
            return None
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return None
        try:
            if str(found["Id"]) in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"):
                return cls(descriptor)
        except OSError:
            pass
        os.close(descriptor)
        return None

    def end(self) -> None:
        """Kill it, and with it every process of its container; return when it is gone."""
        # A container of another user is not ours to end.
        with suppress(OSError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            poll.poll(ENDING_MS)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)
