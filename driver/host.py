"""This host as found: processor, memory, kernel, the commit of the tree. Facts, no judgement."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from driver.plan import HostFacts

if TYPE_CHECKING:
    from collections.abc import Mapping


def host_facts() -> HostFacts:
    """Return the processors this process may use and the memory it may use, in bytes."""
    return HostFacts(threads=len(os.sched_getaffinity(0)), memory_bytes=_memory_bytes())


def describe_host() -> dict[str, object]:
    """Return what a reader of a result must know of the host; no names, no addresses."""
    release = _key_values(Path("/etc/os-release"), "=")
    facts = host_facts()
    return {
        "cpu": _cpu_model(),
        "cpu_flags": sorted(_cpu_flags() & _TELLING_FLAGS),
        "threads": facts.threads,
        "cores_online": os.cpu_count(),
        "memory_bytes": facts.memory_bytes,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "os": release.get("PRETTY_NAME", "").strip('"'),
        "python": platform.python_version(),
        "governor": _first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def tree_commit(root: Path) -> str | None:
    """Return the commit of the tree, with ``+changes`` when files differ from it; None outside git."""
    head = _git(root, "rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("+changes" if _git(root, "status", "--porcelain", "-uno") else "")


_TELLING_FLAGS = frozenset(
    {
        "avx2",
        "fma",
        "avx512f",
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
        "avx_vnni",
        "amx_tile",
        "amx_bf16",
        "amx_int8",
        "asimd",
        "sve",
    }
)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _memory_bytes() -> int:
    total = int(_key_values(Path("/proc/meminfo"), ":").get("MemTotal", "0 kB").split()[0]) * 1024
    limit = _first_line(Path("/sys/fs/cgroup/memory.max"))
    return min(total, int(limit)) if limit and limit.isdecimal() else total


def _cpu_model() -> str:
    info = _key_values(Path("/proc/cpuinfo"), ":")
    return info.get("model name") or platform.processor() or platform.machine()


def _cpu_flags() -> set[str]:
    info = _key_values(Path("/proc/cpuinfo"), ":")
    return set((info.get("flags") or info.get("Features") or "").split())


def _key_values(path: Path, separator: str) -> Mapping[str, str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(separator) for line in lines if separator in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
