"""Host memory as the device of engines that run on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.driver.system.hosts import write
from tests.harness.modules import host_memory

if TYPE_CHECKING:
    from pathlib import Path

MEMINFO = "MemTotal:       16384000 kB\nMemFree:         1024 kB\nMemAvailable:    2048 kB\n"


def total(root: Path, files: dict[str, object], cgroup: str = "0::/") -> int | None:
    write(root, {"proc/meminfo": MEMINFO, "proc/self/cgroup": cgroup, **files})
    found: int | None = host_memory.total_bytes(str(root))
    return found


@pytest.mark.parametrize("limit", ["", "max", "9223372036854771712", "not a number"])
def test_without_a_limit_it_is_the_host_s(tmp_path: Path, limit: str) -> None:
    assert total(tmp_path, {"sys/fs/cgroup/memory.max": limit}) == 16384000 * 1024


@pytest.mark.parametrize(
    ("cgroup", "file"),
    [
        ("0::/", "memory.max"),
        ("0::/lab/job", "lab/memory.max"),
        ("0::/../pod", "memory.max"),
        ("9:memory:/docker/ab\n0::/", "memory/memory.limit_in_bytes"),
        ("9:memory:/lab/job\n0::/", "memory/lab/memory.limit_in_bytes"),
    ],
)
def test_a_container_s_limit_is_its_memory(tmp_path: Path, cgroup: str, file: str) -> None:
    assert total(tmp_path, {f"sys/fs/cgroup/{file}": 8 << 30}, cgroup) == 8 << 30


def test_what_is_available_is_the_kernel_s_estimate(tmp_path: Path) -> None:
    assert host_memory.available_bytes(str(tmp_path)) is None
    write(tmp_path, {"proc/meminfo": MEMINFO})
    assert host_memory.available_bytes(str(tmp_path)) == 2048 * 1024


def test_unknown_memory_is_unknown_not_zero(tmp_path: Path) -> None:
    assert host_memory.total_bytes(str(tmp_path)) is None


def test_the_peak_grows_with_what_the_process_holds() -> None:
    before, _, source = host_memory.host_memory()
    held = bytearray(b"x" * (before // 4 + (64 << 20)))
    after, whole, _ = host_memory.host_memory()
    assert after > before
    assert len(held) < after <= whole
    assert "VmHWM" in source
