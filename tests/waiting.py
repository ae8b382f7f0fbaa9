"""Waits for what happens, never for a time, and long enough for a machine that does much else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 240.0
"""How long to wait for what takes a second on a free machine. It bounds a hang and measures nothing."""


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; AssertionError when it still does not after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not so after {PATIENCE_S:g} s"
        time.sleep(0.01)


def wait_for_line(path: Path) -> str:
    """Return a file's text when it ends with a line break."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text()


def alive(pid: int) -> bool:
    """Say whether a process runs; one that has ended and was not asked for its status does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_gone(*pids: int) -> None:
    """Return when none of the processes runs any more."""
    wait_until(lambda: not any(map(alive, pids)))
