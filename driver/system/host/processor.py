"""This host's processor, and the share that this process may use; both are in a host chip's name."""

from __future__ import annotations

import math
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from driver.models.base import Frozen
from driver.system.host.cgroup import read_limits
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

GIB = 1 << 30
_MARKS = re.compile(r"\((?:R|TM|C)\)", re.IGNORECASE)
_SIGNATURE = ("cpu family", "model", "stepping")
_ARM = ("CPU implementer", "CPU part", "CPU variant", "CPU revision")


class Processor(Frozen):
    """A processor and this process's share of it.

    ``threads``: number of usable hardware threads; ``cpus``: the cgroup's CPU quota, in processors,
    None without one; ``cores`` and ``sockets``: those of the usable threads.
    """

    model: str
    signature: str = ""
    sockets: int = 1
    cores: int
    threads: int
    threads_online: int
    cpus: float | None = None
    memory_bytes: int

    @property
    def name(self) -> str:
        """Return the name of this host's chip; comparisons treat equal names as the same chip."""
        model = f"{self.sockets} × {self.model}" if self.sockets > 1 else self.model
        limit = "" if self.cpus is None else f" (quota {self.cpus:g})"
        shared = self.part and self.cores < self.threads
        cores = f" on {self.cores} core{'s' * (self.cores > 1)}" if shared else ""
        return host_chip_name(
            model, self.threads, self.threads_online, self.memory_bytes, detail=cores + limit
        )

    @property
    def part(self) -> str:
        """Return the usable part of the processor, for display; "" for all of it."""
        found = []
        if self.threads < self.threads_online:
            found.append(f"{self.threads} of {self.threads_online} threads")
        if self.cpus is not None and self.cpus < self.threads_online:
            found.append(f"a quota of {self.cpus:g} CPUs")
        return ", ".join(found)


class Identity(Frozen):
    """What a processor is called, who makes it, and its instructions as /proc/cpuinfo names them."""

    model: str
    vendor_id: str = ""
    flags: frozenset[str] = frozenset()


def read_identity(root: Path = Path("/")) -> Identity:
    """Return this host's processor; ``root`` contains ``proc``."""
    info = key_values(root / "proc/cpuinfo")
    return Identity(
        model=info.get("model name") or platform.processor() or platform.machine(),
        vendor_id=info.get("vendor_id", ""),
        flags=frozenset((info.get("flags") or info.get("Features") or "").split()),
    )


def host_chip_name(
    model: str, threads: int, threads_online: int, memory_bytes: int, *, detail: str = ""
) -> str:
    """Return a host chip's name, such as ``AMD EPYC 9B14, 2 of 64 threads, 31 GiB``."""
    cleaned = _MARKS.sub("", model)
    share = f"{threads} of {threads_online} threads{detail}"
    return plain(f"{' '.join(cleaned.split())}, {share}, {memory_bytes / GIB:.0f} GiB")


def read_processor(root: Path = Path("/"), threads: frozenset[int] | None = None) -> Processor:
    """Return this host's processor; ``root`` contains ``proc`` and ``sys``.

    ``threads`` are the numbers of the hardware threads that this process may use; None asks the kernel.
    """
    usable = frozenset(os.sched_getaffinity(0)) if threads is None else threads
    info = key_values(root / "proc/cpuinfo")
    limits = read_limits(root)
    cpus = limits.cpus if limits.cpus is not None and limits.cpus < len(usable) else None
    memory = [size for size in (_memory_bytes(root), limits.memory_bytes) if size]
    sockets, cores = _topology(root, usable)
    signature = " ".join(f"{name} {info[name]}" for name in _SIGNATURE if name in info)
    return Processor(
        model=_model(info, signature),
        signature=signature,
        sockets=sockets,
        cores=cores,
        # Round a quota up: 1.5 processors are two threads.
        threads=len(usable) if cpus is None else max(1, math.ceil(cpus)),
        threads_online=max(_online(root), len(usable)),
        cpus=cpus,
        memory_bytes=min(memory, default=0),
    )


def _model(info: Mapping[str, str], signature: str) -> str:
    """Return the model; generic names without a number ("AMD EPYC" in clouds) get the CPU signature."""
    name = info.get("model name") or info.get("cpu model") or info.get("cpu") or ""
    if not name and _ARM[0] in info:
        name = " ".join([platform.machine(), *(info[key] for key in _ARM if key in info)])
    name = name or platform.processor() or platform.machine()
    generic = not re.search(r"\d", name.partition("@")[0])
    return f"{name} ({signature})" if generic and signature else name


def _topology(root: Path, threads: frozenset[int]) -> tuple[int, int]:
    """Return (sockets, cores) of some threads; each counts as a core if the kernel gives none."""
    places = set()
    for number in threads:
        folder = root / f"sys/devices/system/cpu/cpu{number}/topology"
        package, core = (_line(folder / name) for name in ("physical_package_id", "core_id"))
        places.add((package, core or f"thread {number}"))
    return max(1, len({package for package, _ in places})), len(places)


def _online(root: Path) -> int:
    """Return the number of online hardware threads, from the kernel's list of ranges (``0-3,8``)."""
    count = 0
    for part in _line(root / "sys/devices/system/cpu/online").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            count += int(last or first) - int(first) + 1
    return count or os.cpu_count() or 1


def _memory_bytes(root: Path) -> int:
    words = key_values(root / "proc/meminfo").get("MemTotal", "").split()
    return int(words[0]) * 1024 if words and words[0].isdecimal() else 0


def key_values(path: Path, separator: str = ":") -> Mapping[str, str]:
    """Return a file's lines ``key<separator>value`` by key, the first of duplicates; {} without a file."""
    found: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        key, found_one, value = line.partition(separator)
        if found_one:
            found.setdefault(key.strip(), value.strip())
    return found


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
