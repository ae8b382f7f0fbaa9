"""The file system in memory of a test run: only where there is room and a right to it, and gone afterwards."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import in_memory
from tests.waiting import wait_until

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
KILLED = """
import os, signal
from tests.in_memory import mounted
print(mounted().path, flush=True)
os.kill(0, signal.SIGKILL)
"""


@pytest.fixture
def memory() -> Iterator[in_memory.Mounted]:
    """Return a folder in memory; a machine on which root may not mount has none."""
    folder = in_memory.mounted() if os.geteuid() == 0 else None
    if folder is None:
        pytest.skip("mounting is not allowed here")
    yield folder
    folder.remove()


def is_mounted(folder: Path) -> bool:
    return str(folder) in Path("/proc/mounts").read_text(encoding="utf-8")


def run(tmp_path: Path, *words: str, **env: str) -> str:
    test = tmp_path / "test_inner.py"
    test.write_text(INNER, encoding="utf-8")
    # It needs no room, and this test's machine may have little.
    (tmp_path / "conftest.py").write_text("from tests import in_memory; in_memory.NEEDED_BYTES = 0")
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


@pytest.mark.parametrize(("limit", "expected"), [("max", 20034592 << 10), ("3000000", 3000000)])
def test_available_memory_is_what_programs_can_have_in_their_container(
    tmp_path: Path, limit: str, expected: int
) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "sys/fs/cgroup/memory.max": f"{limit}\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert in_memory.available_bytes(tmp_path) == expected


def test_where_nothing_says_what_is_available_there_is_none(tmp_path: Path) -> None:
    assert in_memory.available_bytes(tmp_path) == 0


@pytest.mark.usefixtures("memory")
def test_a_run_writes_to_memory_and_leaves_nothing(tmp_path: Path) -> None:
    said = run(tmp_path, in_memory.OPTION)
    found = re.search(r"TMPDIR (\S+) (\S+) (\S+)$", said, re.MULTILINE)
    assert found is not None
    folder, wrote, python = found.groups()
    assert in_memory.PREFIX in folder
    assert wrote.startswith(f"{folder}/")
    assert python == folder
    assert not Path(folder).exists()
    assert not is_mounted(Path(folder))
    assert "what failed tests wrote is kept by: TMPDIR=/tmp make test" in said


@pytest.mark.parametrize("words", [(), (in_memory.OPTION,)], ids=["unasked", "a place is named"])
def test_files_stay_on_the_disk_unless_asked_and_where_a_place_is_named(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    said = run(tmp_path, *words, TMPDIR=str(tmp_path))
    assert f"TMPDIR {tmp_path} {tmp_path}/" in said
    assert "is kept by" not in said


def test_a_killed_run_leaves_nothing(memory: in_memory.Mounted) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "TMPDIR": str(memory.path)},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    folder = Path(killed.stdout.strip())
    assert killed.returncode == -signal.SIGKILL
    assert folder.parent == memory.path
    wait_until(lambda: not folder.exists())
    assert not is_mounted(folder)


def test_without_the_right_to_mount_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert in_memory.mounted() is None
    assert list(tmp_path.iterdir()) == []
