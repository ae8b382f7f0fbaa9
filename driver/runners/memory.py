"""Memory use of a process tree, for runners without a cgroup."""

from __future__ import annotations

import os
import time
from pathlib import Path

from driver.runners.guard import descendants

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CHECK_EVERY_S = 0.5
"""A walk over /proc takes milliseconds: at this interval it does not affect the figures."""


class MemoryWatch:
    """Detects when ``root`` and its descendants together use more than ``limit_bytes``."""

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
        pids = descendants(self._root)
        held = sum(_resident_bytes(pid) for pid in pids)
        if held > self._limit_bytes:
            # Resident sizes count shared pages once per process: before a kill, count exactly.
            held = sum(_proportional_bytes(pid) for pid in pids)
        self.peak_bytes = max(self.peak_bytes, held)
        return held > self._limit_bytes


def kernel_oom_kills() -> int:
    """Return how many processes the kernel has killed for lack of memory since boot."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return 0


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0  # it has ended


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, PermissionError):
        # Before Linux 4.14, it has ended, or it hides its memory, as the harness does from the engine.
        return _resident_bytes(pid)
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
