"""A child beside a block ends with it, and so do its own children."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from driver.system import subprocesses
from driver.system.subprocesses import child_beside
from tests.waiting import alive, wait_gone, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SLEEP_TWICE = ["sh", "-c", "sleep 600 & echo $$ $!; wait"]


def test_its_lines_come_while_it_runs_and_it_ends_with_the_block() -> None:
    lines: list[str] = []
    with child_beside(SLEEP_TWICE, on_line=lines.append):
        wait_until(lambda: bool(lines))
        pids = [int(word) for word in lines[0].split()]
        assert all(map(alive, pids))
    wait_gone(*pids)


def test_an_error_in_the_block_ends_it_and_is_not_hidden() -> None:
    lines: list[str] = []

    def fail() -> None:
        with child_beside(SLEEP_TWICE, on_line=lines.append):
            wait_until(lambda: bool(lines))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    wait_gone(*(int(word) for word in lines[0].split()))


def test_one_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocesses, "GRACE_BESIDE_SECONDS", 0.1)
    lines: list[str] = []
    stubborn = ["sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.01; done"]
    with child_beside(stubborn, on_line=lines.append):
        wait_until(lambda: bool(lines))
    wait_gone(int(lines[0]))


def test_it_has_time_to_remove_what_it_made(tmp_path: Path) -> None:
    lines: list[str] = []
    made = tmp_path / "made"
    tidy = f"trap 'rm {made}; exit' TERM; touch {made}; echo; while :; do sleep 0.01; done"
    with child_beside(["sh", "-c", tidy], on_line=lines.append):
        wait_until(lambda: bool(lines))
    assert not made.exists()


def test_a_terminals_signals_do_not_reach_it() -> None:
    lines: list[str] = []
    with child_beside(["sh", "-c", "echo $$; sleep 600"], on_line=lines.append):
        wait_until(lambda: bool(lines))
        assert os.getsid(int(lines[0])) != os.getsid(0)


def test_one_that_has_ended_is_no_error() -> None:
    with child_beside(["sh", "-c", "exit 3"], on_line=print):
        pass
