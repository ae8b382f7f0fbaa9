"""A broken host is blamed, with true numbers, wherever it breaks; a hook or a chip never is."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from driver.errors import AssayError
from driver.models.base import FailureKind, StageName
from driver.results import store
from driver.session.result import exit_code
from driver.system.workspace import disk_problem
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.jobs


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def mount(folder: Path, size: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


@pytest.fixture
def disk(lab: Lab) -> Iterator[Path]:
    """Return ASSAY_HOME of the lab, on a disk of 24 MiB of its own."""
    folder = lab.settings.home
    mount(folder, "24m")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


FILL = """
import errno
try:
    with open(out / "big", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
except OSError as error:
    assert error.errno == errno.ENOSPC
"""
HOOKS = {StageName.EXPORT: "reference", StageName.SCORE: "reference"}


@pytest.mark.parametrize("stage", list(StageName))
@pytest.mark.parametrize(
    "end",
    [
        "(out / 'report.json').unlink(); sys.exit(1)",
        "os.truncate(out / 'report.json', 40); sys.exit(0)",
        "os.abort()",
    ],
    ids=["no report", "half a report", "crash"],
)
def test_a_disk_that_fills_up_in_a_stage_is_blamed_whatever_the_hook_makes_of_it(
    lab: Lab, disk: Path, stage: StageName, end: str
) -> None:
    lab.behave(HOOKS.get(stage, "acme"), **{stage: f"python:{FILL}{end}"})
    result = lab.run().result
    assert result.failure is not None
    assert (result.failure.kind, result.failure.stage) == (FailureKind.HOST, stage)
    assert exit_code(result) == 3
    size = os.statvfs(disk).f_blocks * os.statvfs(disk).f_frsize
    assert (
        "of 25,165,824 bytes are free" in result.failure.message or "left" in result.failure.message
    )
    assert size == 25_165_824
    assert "ASSAY_HOME" in result.failure.remedy
    assert list((disk / "work").iterdir()) == []


@pytest.mark.parametrize("stage", list(StageName))
def test_a_disk_that_becomes_read_only_in_a_stage_is_blamed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, stage: StageName
) -> None:
    """As after an error of the disk; the kernel refuses to do it to a disk that is in use."""
    real = os.statvfs

    def read_only(path: Path) -> object:
        found = real(path)
        flags = found.f_flag | os.ST_RDONLY
        return os.statvfs_result((*found[:8], flags, *found[9:]))

    lab.behave(HOOKS.get(stage, "acme"), **{stage: "exit-3"})
    monkeypatch.setattr(os, "statvfs", read_only)
    result = lab.run().result
    assert result.failure is not None
    assert (result.failure.kind, exit_code(result)) == (FailureKind.HOST, 3)
    assert "is read-only; the stage said" in result.failure.message


def test_a_home_that_is_read_only_is_the_hosts(lab: Lab, disk: Path) -> None:
    remount(disk, "ro")
    assert disk_problem(disk) == f"the disk of {disk} is read-only"
    with pytest.raises(AssayError, match="Read-only file system") as caught:
        lab.run()
    assert caught.value.exit_code == 3
    assert "free some space" not in caught.value.remedy


def test_results_that_cannot_be_written_leave_nothing_half(lab: Lab) -> None:
    folder = lab.settings.results
    mount(folder, "64k")
    try:
        (folder / "big").write_bytes(bytes(40 << 10))
        with pytest.raises(AssayError, match="No space left") as caught:
            lab.run()
        assert caught.value.exit_code == 3
        assert not list(folder.rglob("result.json"))
        (folder / "big").unlink()
        remount(folder, "ro")
        with pytest.raises(AssayError, match="Read-only") as caught:
            lab.run()
        assert caught.value.exit_code == 3
        assert "free some space" not in caught.value.remedy
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_with_space_has_no_problem(tmp_path: Path) -> None:
    assert disk_problem(tmp_path) is None


def test_a_wall_clock_that_steps_back_changes_no_duration(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = datetime(2026, 3, 29, 12, tzinfo=UTC)

    class Clock(datetime):
        """A wall clock that goes an hour back each time it is read."""

        reads = 0

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            Clock.reads += 1
            return started - timedelta(hours=Clock.reads)

    monkeypatch.setattr(store, "datetime", Clock)
    result = lab.run().result
    assert result.status == "ok"
    began, ended = (
        datetime.fromisoformat(text) for text in (result.started_utc, result.finished_utc)
    )
    took_s = (ended - began).total_seconds()
    assert 0 <= took_s <= (result.metrics.e2e_time_s or 0) + 1
