"""The driver asks a stage for its time; what answers is a stranger, and need not answer at all."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from driver.results.received import clock
from driver.results.received.clock import ClockWatch
from tests.harness.modules import time_answers
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # Longer than the address of a socket may be.
    made = tmp_path / ("job" * 40)
    made.mkdir()
    return made


@contextlib.contextmanager
def stranger(folder: Path) -> Iterator[tuple[ClockWatch, socket.socket]]:
    with ClockWatch(folder / "clock") as watch:
        guest = socket.socket(socket.AF_UNIX)
        descriptor = os.open(watch.folder, os.O_RDONLY)
        guest.connect(f"/proc/self/fd/{descriptor}/socket")
        os.close(descriptor)
        with guest:
            yield watch, guest


def test_the_harness_answers_with_its_clock_and_its_loop(folder: Path) -> None:
    with ClockWatch(folder / "clock") as watch:
        answers = time_answers.TimeAnswers(folder)
        wait_until(lambda: bool(watch.readings))
        answers.loop_began("core")
        wait_until(lambda: bool(watch.readings[-1].loop == "core"))
        answers.loop_ended()
        wait_until(lambda: bool(watch.readings[-1].loop == "-"))
    assert {one.loop for one in watch.readings} == {"-", "core"}
    for one in watch.readings:
        assert one.asked_ns <= one.guest_ns <= one.heard_ns, "one clock on one machine"


def test_a_loop_that_begins_or_ends_is_asked_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "ASK_S", 600.0)
    with ClockWatch(folder / "clock") as watch:
        answers = time_answers.TimeAnswers(folder)
        wait_until(lambda: bool(watch.readings))
        answers.loop_began("core")
        wait_until(lambda: bool(watch.readings[-1].loop == "core"))


def test_a_guest_that_never_connects_is_not_waited_for(folder: Path) -> None:
    with ClockWatch(folder / "clock") as watch:
        pass
    assert (watch.readings, watch.connected) == ([], False)


def test_a_driver_that_is_gone_does_not_end_the_harness(folder: Path) -> None:
    with ClockWatch(folder / "clock") as watch:
        answers = time_answers.TimeAnswers(folder)
        wait_until(lambda: bool(watch.connected))
    for _ in range(3):
        answers.loop_began("core")
        answers.loop_ended()


def test_a_harness_without_a_driver_has_nobody_to_answer(folder: Path) -> None:
    time_answers.TimeAnswers(folder).loop_began("core")
    (folder / "clock").mkdir()
    (folder / "clock" / "socket").write_text("a file")
    time_answers.TimeAnswers(folder).loop_began("core")


@pytest.mark.parametrize(
    "nonsense",
    [b"soon\n", b"-5 core\n", b"1" * 19 + b" core\n", b"1e9 core\n", b"x" * 4096, b"7\n", b"\n"],
)
def test_nonsense_is_no_reading_and_ends_the_questions(folder: Path, nonsense: bytes) -> None:
    with stranger(folder) as (watch, guest):
        assert guest.recv(1) == b"?"
        guest.sendall(nonsense)
        wait_until(lambda: bool(not watch._thread.is_alive()))
    assert watch.readings == []


def test_a_guest_that_wants_to_be_asked_all_the_time_is_asked_now_and_then(folder: Path) -> None:
    with stranger(folder) as (watch, guest):
        for _ in range(50):
            assert guest.recv(1) == b"?"
            guest.sendall(b"!\n" * 9 + b"5 -\n")
    asked = [one.asked_ns for one in watch.readings]
    assert min(after - before for before, after in pairwise(asked)) >= clock.LEAST_S * 1e9


def test_a_guest_that_does_not_answer_does_not_hold_up_the_end(folder: Path) -> None:
    with stranger(folder) as (watch, guest):
        guest.sendall(b"12")
        wait_until(lambda: bool(watch.connected))
    assert watch.readings == []


def test_another_user_can_reach_the_socket(folder: Path) -> None:
    with ClockWatch(folder / "clock") as watch:
        assert stat.S_IMODE(watch.folder.stat().st_mode) == 0o755
        assert stat.S_IMODE((watch.folder / "socket").stat().st_mode) == 0o666
