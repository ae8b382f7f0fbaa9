"""Host memory as the device of engines that run on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness.modules import memory

if TYPE_CHECKING:
    from pathlib import Path

MEMINFO = "MemTotal:       16384000 kB\nMemFree:         1024 kB\n"


def total(folder: Path, limit: str | None) -> int | None:
    meminfo = folder / "meminfo"
    meminfo.write_text(MEMINFO)
    limits = folder / "memory.max"
    if limit is not None:
        limits.write_text(limit + "\n")
    found: int | None = memory.total_bytes(str(meminfo), [str(limits)])
    return found


@pytest.mark.parametrize("limit", [None, "max", "9223372036854771712", "not a number"])
def test_without_a_limit_it_is_the_host_s(tmp_path: Path, limit: str | None) -> None:
    assert total(tmp_path, limit) == 16384000 * 1024


def test_a_container_s_limit_is_its_memory(tmp_path: Path) -> None:
    assert total(tmp_path, str(8 << 30)) == 8 << 30


def test_unknown_memory_is_unknown_not_zero(tmp_path: Path) -> None:
    assert memory.total_bytes(str(tmp_path / "none"), []) is None


def test_the_peak_grows_with_what_the_process_holds() -> None:
    before, _, source = memory.host_memory()
    held = bytearray(b"x" * (before // 4 + (64 << 20)))
    after, whole, _ = memory.host_memory()
    assert after > before
    assert len(held) < after <= whole
    assert "VmHWM" in source
