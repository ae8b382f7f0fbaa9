"""The peak of a process tree's memory: of its own, at once, and only of processes of this host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.runners.memory import MemoryWatch, container_watch

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
HOLD = """
import mmap, sys
own = bytearray(b"x") * (64 << 20)
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    seen = sum(mapped[place] for place in range(0, len(mapped), 4096))
if len(sys.argv) > 2:
    import subprocess
    child = subprocess.Popen([sys.executable, *sys.argv[2:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holders(tmp_path: Path) -> Iterator[int]:
    """Yield the pid of a process with a child, each with 64 MiB of its own and 64 MiB of a file."""
    program, file = tmp_path / "hold.py", tmp_path / "mapped"
    program.write_text(HOLD, encoding="utf-8")
    file.write_bytes(b"x" * (64 * MIB))
    words = [sys.executable, str(program), str(file), str(program), str(file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"ready\n"
        yield holder.pid
        holder.stdin.close()


def test_the_peak_is_the_memory_of_all_processes_without_pages_of_files(holders: int) -> None:
    watch = MemoryWatch(holders, sys.maxsize)
    assert not watch.exceeded()
    assert 128 * MIB <= watch.peak_bytes < 192 * MIB


def test_a_peak_stays_when_memory_is_returned(holders: int) -> None:
    watch = MemoryWatch(holders, sys.maxsize)
    watch.exceeded()
    peak = watch.peak_bytes
    watch._root = 2**22 + 1  # nobody's
    watch._next_check = 0.0
    watch.exceeded()
    assert watch.peak_bytes == peak > 0


def test_a_container_of_another_host_is_not_watched(holders: int) -> None:
    group = Path(f"/proc/{holders}/cgroup").read_text(encoding="utf-8")
    assert container_watch(holders, group.splitlines()[0]) is not None
    assert container_watch(holders, "0123456789abcdef" * 4) is None
    assert container_watch(0, group.splitlines()[0]) is None
    assert container_watch(2**22 + 1, "anything") is None
