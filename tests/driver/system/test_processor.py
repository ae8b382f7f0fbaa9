"""A host's chip is its processor and what of it may be used: affinity and control groups count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.system.host.processor import read_processor
from tests.driver.system.hosts import GIB, V2_MOUNTS, write, write_host

if TYPE_CHECKING:
    from pathlib import Path

ALL = frozenset(range(64))


def limited(root: Path, cpu_max: str, memory: object) -> Path:
    """Return a host of 64 threads and 64 GiB with limits of version 2."""
    return write(
        write_host(root),
        {
            "proc/self/cgroup": "0::/",
            "proc/self/mountinfo": V2_MOUNTS.format(shown="/"),
            "sys/fs/cgroup/cpu.max": cpu_max,
            "sys/fs/cgroup/memory.max": memory,
        },
    )


def test_a_whole_host_is_its_model_threads_and_memory(tmp_path: Path) -> None:
    found = read_processor(write_host(tmp_path), ALL)
    assert (found.threads, found.cores, found.sockets, found.part) == (64, 32, 1, "")
    assert found.name == "AMD EPYC 9B14, 64 of 64 threads, 64 GiB"


def test_container_limits_are_the_hosts_to_the_driver(tmp_path: Path) -> None:
    """``docker run --cpus 1 --memory 2g``."""
    found = read_processor(limited(tmp_path, "100000 100000", 2 * GIB), ALL)
    assert (found.threads, found.memory_bytes) == (1, 2 * GIB)
    assert found.name == "AMD EPYC 9B14, 1 of 64 threads (quota 1), 2 GiB"
    assert "1 of 64 threads" in found.part


@pytest.mark.parametrize(("quota", "threads"), [(150_000, 2), (10_000, 1), (6_400_000, 64)])
def test_a_share_of_processor_time_is_used_whole(tmp_path: Path, quota: int, threads: int) -> None:
    found = read_processor(limited(tmp_path, f"{quota} 100000", "max"), ALL)
    assert found.threads == threads
    assert (found.cpus is None) is (threads == 64)


def test_affinity_is_a_part_of_the_processor(tmp_path: Path) -> None:
    found = read_processor(write_host(tmp_path), frozenset({0, 32}))
    assert (found.threads, found.cores, found.part) == (2, 1, "2 of 64 threads")
    two_cores = read_processor(tmp_path, frozenset({0, 1}))
    assert found.name == "AMD EPYC 9B14, 2 of 64 threads on 1 core, 64 GiB"
    assert two_cores.name == "AMD EPYC 9B14, 2 of 64 threads, 64 GiB"


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (
            "model name : Intel(R) Xeon(R) Gold 6348 CPU @ 2.60GHz",
            "Intel Xeon Gold 6348 CPU @ 2.60GHz",
        ),
        (
            "model name : AMD EPYC\ncpu family : 26\nmodel : 2\nstepping : 1",
            "AMD EPYC (cpu family 26 model 2 stepping 1)",
        ),
        (
            "model name : Intel(R) Xeon(R) CPU @ 2.20GHz\ncpu family : 6\nmodel : 79\nstepping : 0",
            "Intel Xeon CPU @ 2.20GHz (cpu family 6 model 79 stepping 0)",
        ),
        ("cpu : POWER9, altivec supported", "POWER9, altivec supported"),
    ],
)
def test_a_processor_is_named_so_that_two_are_told_apart(
    tmp_path: Path, cpuinfo: str, name: str
) -> None:
    found = read_processor(write_host(tmp_path, cpuinfo=cpuinfo), ALL)
    assert found.name == f"{name}, 64 of 64 threads, 64 GiB"


def test_arm_processors_without_a_model_name_are_told_apart(tmp_path: Path) -> None:
    graviton = "CPU implementer : 0x41\nCPU part : 0xd40"
    one = read_processor(write_host(tmp_path / "a", cpuinfo=graviton), ALL)
    other = read_processor(
        write_host(tmp_path / "b", cpuinfo=graviton.replace("0xd40", "0xd0c")), ALL
    )
    assert "0xd40" in one.name
    assert one.name != other.name


def test_two_sockets_are_not_one(tmp_path: Path) -> None:
    root = write_host(tmp_path)
    write(root, {"sys/devices/system/cpu/cpu1/topology/physical_package_id": 1})
    assert read_processor(root, frozenset({0, 1})).name.startswith("2 × AMD EPYC 9B14, 2 of 64")


def test_a_host_that_says_nothing_is_read_all_the_same(tmp_path: Path) -> None:
    found = read_processor(tmp_path, frozenset({0}))
    assert (found.threads, found.cores, found.sockets, found.memory_bytes) == (1, 1, 1, 0)
