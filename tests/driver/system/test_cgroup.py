"""Limits of control groups, of both versions: the smallest of a group and its ancestors holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.system.host.cgroup import CgroupLimits, read_limits
from tests.driver.system.hosts import GIB, NO_LIMIT_V1, V1_MOUNTS, V2_MOUNTS, write

if TYPE_CHECKING:
    from pathlib import Path


def test_docker_with_one_cpu_and_two_gibibytes_on_version_2(tmp_path: Path) -> None:
    """A namespace of its own: the group is ``/``, and its files are at the mount point."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "proc/self/mountinfo": V2_MOUNTS.format(shown="/"),
            "sys/fs/cgroup/cpu.max": "100000 100000",
            "sys/fs/cgroup/memory.max": 2 * GIB,
        },
    )
    assert read_limits(tmp_path) == CgroupLimits(cpus=1.0, memory_bytes=2 * GIB)


def test_docker_with_one_cpu_and_two_gibibytes_on_version_1(tmp_path: Path) -> None:
    """No namespace: the path is the host's, and the mount shows this very group."""
    write(
        tmp_path,
        {
            "proc/self/cgroup": "9:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/",
            "proc/self/mountinfo": V1_MOUNTS.format(
                cpu_shown="/docker/ab", memory_shown="/docker/ab"
            ),
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": 100000,
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": 100000,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": 2 * GIB,
        },
    )
    assert read_limits(tmp_path) == CgroupLimits(cpus=1.0, memory_bytes=2 * GIB)


def test_the_smallest_limit_of_the_ancestors_holds_on_version_2(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/user.slice/user-1000.slice/run.scope"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/user-1000.slice/run.scope",
            "proc/self/mountinfo": V2_MOUNTS.format(shown="/"),
            f"{group}/cpu.max": "max 100000",
            f"{group}/memory.max": 8 * GIB,
            "sys/fs/cgroup/user.slice/user-1000.slice/cpu.max": "150000 100000",
            "sys/fs/cgroup/user.slice/user-1000.slice/memory.max": "max",
            "sys/fs/cgroup/user.slice/memory.max": 4 * GIB,
        },
    )
    assert read_limits(tmp_path) == CgroupLimits(cpus=1.5, memory_bytes=4 * GIB)


def test_the_smallest_limit_of_the_ancestors_holds_on_version_1(tmp_path: Path) -> None:
    cpu, memory = "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/memory"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "9:memory:/lab/job\n4:cpu,cpuacct:/lab/job",
            "proc/self/mountinfo": V1_MOUNTS.format(cpu_shown="/", memory_shown="/"),
            f"{cpu}/lab/job/cpu.cfs_quota_us": -1,
            f"{cpu}/lab/job/cpu.cfs_period_us": 100000,
            f"{cpu}/lab/cpu.cfs_quota_us": 400000,
            f"{cpu}/lab/cpu.cfs_period_us": 100000,
            f"{memory}/lab/job/memory.limit_in_bytes": NO_LIMIT_V1,
            f"{memory}/lab/memory.limit_in_bytes": 3 * GIB,
            f"{memory}/memory.limit_in_bytes": NO_LIMIT_V1,
        },
    )
    assert read_limits(tmp_path) == CgroupLimits(cpus=4.0, memory_bytes=3 * GIB)


def test_a_group_outside_what_is_mounted_is_read_at_the_mount_point(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/../../kubepods/pod1",
            "proc/self/mountinfo": V2_MOUNTS.format(shown="/"),
            "sys/fs/cgroup/memory.max": GIB,
        },
    )
    assert read_limits(tmp_path) == CgroupLimits(memory_bytes=GIB)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "0::/"},
        {
            "proc/self/cgroup": "nonsense\n0::/\n4:cpu:/",
            "proc/self/mountinfo": "short\n" + V2_MOUNTS.format(shown="/"),
            "sys/fs/cgroup/cpu.max": "100000 0",
            "sys/fs/cgroup/memory.max": "",
        },
    ],
)
def test_a_host_without_limits_or_with_odd_files_has_none(
    tmp_path: Path, files: dict[str, object]
) -> None:
    assert read_limits(write(tmp_path, files)) == CgroupLimits()
