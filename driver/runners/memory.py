"""Memory use of a process tree: its limit, for runners without a cgroup, and its peak."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

from driver.runners.guard import descendants

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CHECK_EVERY_S = 0.5
"""A walk over /proc takes milliseconds: at this interval it does not affect the figures."""


class MemoryWatch:
    """Detects when ``root`` and its descendants together use more than ``limit_bytes``.

    ``peak_bytes`` is the most that they had at once, of the samples taken: memory of their own
    (anonymous), without pages of files, which the kernel takes back when it needs them. A peak
    between two samples is missed.
    """

    def __init__(self, root: int, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._next_check = 0.0
        self.peak_bytes = 0

    def exceeded(self) -> bool:
        """Return whether the limit is exceeded; checks at most every CHECK_EVERY_S."""
        now = time.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + CHECK_EVERY_S
        pids = [self._root, *descendants(self._root)]
        sizes = [_sizes(pid) for pid in pids]
        self.peak_bytes = max(self.peak_bytes, sum(size.own for size in sizes))
        held = sum(size.resident for size in sizes)
        if held > self._limit_bytes:
            # Resident sizes count shared pages once per process: before a kill, count exactly.
            held = sum(_proportional_bytes(pid) for pid in pids)
        return held > self._limit_bytes


class ContainerMemory(MemoryWatch):
    """Watches the container that ``starter`` starts: once it is there, without what starts it.

    Until then, everything below ``starter`` counts.
    """

    def __init__(self, starter: int, limit_bytes: int) -> None:
        super().__init__(starter, limit_bytes)
        self._has_started = False

    def exceeded(self) -> bool:
        """Return whether the limit is exceeded; checks at most every CHECK_EVERY_S."""
        if not self._has_started and time.monotonic() >= self._next_check:
            first = _first_of_a_container(self._root)
            self._root, self._has_started = first or self._root, first is not None
        return super().exceeded()


def _first_of_a_container(starter: int) -> int | None:
    """Return the process below ``starter`` that is number 1 of a pid namespace of its own, None without one."""
    for pid in descendants(starter):
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        numbers = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
        # As many as there are namespaces between ours and its own, ours first.
        if len(numbers.split()) > 2 and numbers.split()[-1] == "1":
            return pid
    return None


def container_watch(pid: int, container: str) -> MemoryWatch | None:
    """Return a watch of a container's processes by its first one; None where they are not this host's.

    ``container`` is the engine's id, which the kernel's name of the process's group contains: an
    engine on another host, or in a container itself, numbers processes differently.
    """
    try:
        group = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return MemoryWatch(pid, sys.maxsize) if pid and container in group else None


def kernel_oom_kills() -> int:
    """Return how many processes the kernel has killed for lack of memory since boot."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return 0


class _Sizes(NamedTuple):
    """Bytes that a process has in memory: all of them, and those that no file holds."""

    resident: int
    own: int


def _sizes(pid: int) -> _Sizes:
    try:
        words = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return _Sizes(0, 0)  # it has ended
    resident, of_files = int(words[1]), int(words[2])
    return _Sizes(resident * PAGE_BYTES, (resident - of_files) * PAGE_BYTES)


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, PermissionError):
        # Before Linux 4.14, it has ended, or it hides its memory, as the harness does from the engine.
        return _sizes(pid).resident
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
