"""The file system in memory of a test run: only where there is room and a right to it, and gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import in_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMINFO = """MemTotal:       24683652 kB
MemFree:        18034592 kB
MemAvailable:   20034592 kB
"""
INNER = """
import os, tempfile

def test_where(tmp_path):
    print("TMPDIR", os.environ.get("TMPDIR"), tmp_path, tempfile.gettempdir())

def test_fails(tmp_path):
    raise AssertionError
"""


def may_mount() -> bool:
    return os.geteuid() == 0 and in_memory.available_bytes() >= in_memory.NEEDED_BYTES


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory that this test mounts and whoever made it may have left."""
    folder = tmp_path / f"{in_memory.PREFIX}{2**22 + 1}"
    yield folder
    in_memory.unmount(folder)


def mounted(folder: Path) -> bool:
    return str(folder) in Path("/proc/mounts").read_text(encoding="utf-8")


def run(tmp_path: Path, *words: str, **env: str) -> str:
    test = tmp_path / "test_inner.py"
    test.write_text(INNER, encoding="utf-8")
    clean = {key: value for key, value in os.environ.items() if key != "TMPDIR"}
    command = [sys.executable, "-m", "pytest", "-p", "tests.in_memory", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-s", "-c", os.devnull, f"--rootdir={tmp_path}", str(test), *words],
        env={**clean, **env},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    return done.stdout


def test_available_memory_is_what_programs_can_have() -> None:
    assert in_memory.available_bytes(MEMINFO) == 20034592 << 10
    assert in_memory.available_bytes("MemTotal: 1 kB\n") == 0


@pytest.mark.skipif(not may_mount(), reason="needs root and 12 GiB of free memory")
def test_a_run_writes_to_memory_and_leaves_nothing(tmp_path: Path) -> None:
    said = run(tmp_path, in_memory.OPTION)
    (line,) = (line for line in said.splitlines() if "TMPDIR" in line and "make test" not in line)
    _, folder, wrote, python = line.removeprefix(".").split()[-4:]
    assert in_memory.PREFIX in folder
    assert wrote.startswith(f"{folder}/")
    assert python == folder
    assert not Path(folder).exists()
    assert not mounted(Path(folder))
    assert "what failed tests wrote is kept by: TMPDIR=/tmp make test" in said


@pytest.mark.parametrize("words", [(), (in_memory.OPTION,)], ids=["unasked", "a place is named"])
def test_files_stay_on_the_disk_unless_asked_and_where_a_place_is_named(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    said = run(tmp_path, *words, TMPDIR=str(tmp_path))
    assert f"TMPDIR {tmp_path} {tmp_path}/" in said
    assert "is kept by" not in said


@pytest.mark.skipif(not may_mount(), reason="needs root and 12 GiB of free memory")
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path, folder: Path) -> None:
    assert in_memory.mount(folder)
    living = folder.with_name(f"{in_memory.PREFIX}{os.getpid()}")
    living.mkdir()
    (folder / "left").touch()
    assert mounted(folder)
    in_memory.unmount_old(tmp_path)
    assert not mounted(folder)
    assert [path.name for path in tmp_path.iterdir()] == [living.name]


def test_without_the_right_to_mount_nothing_is_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder.parent))
    assert not in_memory.mount(folder)
    assert not folder.exists()
