"""A full disk, a quota, a folder without permission: a named remedy, exit code 3, nothing half."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from driver import __main__ as program
from driver.errors import EnvironmentFault, disk_fault_of, disk_faults
from driver.system.settings import ROOT
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REMEDIES = {
    errno.ENOSPC: "another disk",
    errno.EDQUOT: "another disk",
    errno.EROFS: "choose other folders",
    errno.EACCES: "choose other folders",
}


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk of 64 KiB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(("number", "remedy"), REMEDIES.items())
def test_an_error_of_the_disk_is_the_machines_and_no_bug(
    number: int, remedy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**_: object) -> int:
        raise OSError(number, os.strerror(number), "/data/out/x")

    monkeypatch.setattr("driver.cli.app", fails)
    assert program.main(["list"]) == 3
    said = capsys.readouterr().err
    assert f"/data/out/x cannot be used: {os.strerror(number)}" in said
    assert remedy in said
    assert "OUT=<folder>" in said
    assert "ASSAY_HOME=<folder>" in said


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(ConnectionResetError), disk_faults():
        raise ConnectionResetError(errno.ECONNRESET, "reset")


def test_a_full_disk_without_a_path_in_its_error_is_named(full: Path) -> None:
    with pytest.raises(EnvironmentFault, match="No space left"), disk_faults():
        (full / "big").write_bytes(bytes(1 << 20))


def test_a_tools_message_about_the_disk_is_recognised() -> None:
    fault = disk_fault_of("error: failed to write\n  Caused by: No space left on device (28)", "/h")
    assert fault is not None
    assert fault.message == "/h cannot be written: No space left on device"
    assert disk_fault_of("error: no Python 3.10", "/h") is None


def test_a_full_home_says_so_and_keeps_nothing(full: Path) -> None:
    done = subprocess.run(
        [ROOT / "driver" / "assay", "list"],
        env=os.environ | {"ASSAY_HOME": str(full)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 3
    assert f"the disk of {full} is full" in done.stderr
    assert "python3-venv" not in done.stderr
    assert not list(full.glob("venvs/driver-*/"))


def test_a_disk_without_room_for_a_folder_is_full_and_not_somebody_elses(tmp_path: Path) -> None:
    mkdir = tmp_path / "bin" / "mkdir"
    mkdir.parent.mkdir()
    mkdir.write_text(
        "#!/bin/sh\necho 'mkdir: No space left on device' >&2\nexit 1\n", encoding="utf-8"
    )
    mkdir.chmod(0o755)
    done = subprocess.run(
        [ROOT / "driver" / "assay", "list"],
        env=os.environ
        | {"ASSAY_HOME": str(tmp_path / "home"), "PATH": f"{mkdir.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 3
    assert f"the disk of {tmp_path / 'home'} is full" in done.stderr
