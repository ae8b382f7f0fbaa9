"""Waiting for another run's lock is no part of a job's time, wherever the wait happens."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from driver.errors import EnvironmentFault
from driver.system.file_lock import locked, waited_s
from driver.system.stopwatch import Stopwatch

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """A clock that only the lock's waiting moves, by ten seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("driver.system.file_lock.time.perf_counter", found)
    return found


def wait_in(path: Path, clock: Clock) -> None:
    """Wait for a lock that another thread gives up when ten seconds have passed."""
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(path):
            taken.set()
            release.wait()

    def waits() -> None:
        clock.now += 4.0  # before the wait begins: the job's own time
        release.set()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    with locked(path, on_wait=waits):
        pass
    holder.join()


def test_a_wait_is_counted_and_left_out(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    real = fcntl.flock

    def flock(stream: object, how: int) -> None:
        real(stream, how)  # type: ignore[arg-type]
        if how == fcntl.LOCK_EX:
            clock.now += 10.0  # what the wait took

    monkeypatch.setattr("driver.system.file_lock.fcntl.flock", flock)
    stopwatch, before = Stopwatch(), waited_s()
    with stopwatch.timing("environments"):
        wait_in(tmp_path / "lock", clock)
    assert waited_s() - before == pytest.approx(10.0)
    assert stopwatch.lock_wait_s == pytest.approx(10.0)
    assert stopwatch.elapsed_s() == pytest.approx(4.0)
    shares = {share.what: share.wall_s for share in stopwatch.shares(4.0)}
    assert shares == {"environments": pytest.approx(4.0), "driver": pytest.approx(0.0)}


def test_a_free_lock_is_no_wait(tmp_path: Path) -> None:
    before = waited_s()
    with locked(tmp_path / "lock"):
        pass
    assert waited_s() == before


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_disk_without_locks_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuses(_file: int, _how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuses)
    with (
        pytest.raises(EnvironmentFault, match="its disk has no locks") as error,
        locked(tmp_path / "x.lock"),
    ):
        pytest.fail("two runs could make the same artifact")
    assert "ASSAY_HOME=" in error.value.remedy
