"""Hosts as the kernel describes them: files below a folder, for control groups of both versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30
NO_LIMIT_V1 = 9223372036854771712
V1_MOUNTS = """\
32 31 0:29 {cpu_shown} /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 {memory_shown} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2_MOUNTS = "29 22 0:26 {shown} /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n"
EPYC = "model name\t: AMD EPYC 9B14\ncpu family\t: 25\nmodel\t\t: 17\nstepping\t: 1\nflags\t\t: fpu avx2\n"


def write(root: Path, files: dict[str, object]) -> Path:
    """Write files, by their path below ``root``, and return it."""
    for name, content in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n", encoding="utf-8")
    return root


def write_host(
    root: Path, *, cpuinfo: str = EPYC, online: str = "0-63", memory_gib: float = 64.0
) -> Path:
    """Write a host of one socket, two threads a core, thread n and n + 32 on core n."""
    topology = {
        f"sys/devices/system/cpu/cpu{n}/topology/{name}": value
        for n in range(64)
        for name, value in (("physical_package_id", 0), ("core_id", n % 32))
    }
    meminfo = f"MemTotal: {int(memory_gib * GIB / 1024)} kB"
    return write(
        root,
        {
            "proc/cpuinfo": cpuinfo,
            "proc/meminfo": meminfo,
            "sys/devices/system/cpu/online": online,
            **topology,
        },
    )
