"""A child that was just started when Ctrl-C came is known, and ends with us."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from driver.system.command import Command
from driver.system.subprocesses import child_beside, run_child, run_children
from tests.waiting import wait_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Have Ctrl-C come whenever a child was just started; return the children's pids."""
    pids: list[int] = []

    class Interrupted(subprocess.Popen[Any]):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            pids.append(self.pid)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield pids
    signal.signal(signal.SIGINT, previous)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "start",
    [
        run_child,
        lambda argv: run_children([argv, argv]),
        lambda argv: Command(argv, 600.0).run(),
        lambda argv: child_beside(argv, on_line=print).__enter__(),
    ],
    ids=["run_child", "run_children", "Command", "child_beside"],
)
def test_it_ends_with_us(started: list[int], start: Callable[[list[str]], object]) -> None:
    with pytest.raises(KeyboardInterrupt):
        start(["sleep", "600"])
    assert len(started) == 1
    wait_gone(*started)
