"""The cgroup limits of this process, processor time and memory, for cgroup versions 1 and 2.

A group is limited by itself and by each of its ancestors; the smallest limit holds. Where a group's files
are follows from ``/proc/self/cgroup`` (its path) and ``/proc/self/mountinfo`` (where which hierarchy is
mounted, and which of its groups the mount shows).
https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIFIED = ""
"""Our controller name for version 2's single hierarchy."""
NO_MEMORY_LIMIT = 1 << 60
"""Version 1 represents "no limit" as a number near 2**63, rounded down to a page."""


class CgroupLimits(NamedTuple):
    """What a process may use, None without a limit. ``cpus`` is a number of processors, such as 1.5."""

    cpus: float | None = None
    memory_bytes: int | None = None


class Mount(NamedTuple):
    """A mounted hierarchy: the group ``shown`` is mounted at ``point``."""

    shown: PurePosixPath
    point: PurePosixPath


def read_limits(root: Path = Path("/")) -> CgroupLimits:
    """Return the limits of this process; ``root`` contains ``proc`` and ``sys``."""
    groups = parse_groups(_text(root / "proc/self/cgroup"))
    mounts = parse_mounts(_text(root / "proc/self/mountinfo"))
    cpus: list[float] = []
    memory: list[int] = []
    for folder in _folders(root, groups, mounts, UNIFIED):
        cpus += _processors(_text(folder / "cpu.max").split())
        memory += _bytes(_text(folder / "memory.max"))
    for folder in _folders(root, groups, mounts, "cpu"):
        quota, period = (_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        cpus += _processors([quota, period])
    for folder in _folders(root, groups, mounts, "memory"):
        memory += _bytes(_text(folder / "memory.limit_in_bytes"))
    return CgroupLimits(cpus=min(cpus, default=None), memory_bytes=min(memory, default=None))


def parse_groups(cgroup: str) -> dict[str, PurePosixPath]:
    """Return the path of a process's group by controller; version 2's under UNIFIED."""
    found = {}
    for line in cgroup.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = PurePosixPath(path or "/")
    return found


def parse_mounts(mountinfo: str) -> dict[str, Mount]:
    """Return where each controller's hierarchy is mounted; version 2's under UNIFIED."""
    found: dict[str, Mount] = {}
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        words, kind = fields.split(), rest.split()
        if len(words) < 5 or len(kind) < 3:
            continue
        mount = Mount(PurePosixPath(words[3]), PurePosixPath(words[4]))
        if kind[0] == "cgroup2":
            found.setdefault(UNIFIED, mount)
        elif kind[0] == "cgroup":
            for option in kind[2].split(","):
                found.setdefault(option, mount)
    return found


def _folders(
    root: Path, groups: dict[str, PurePosixPath], mounts: dict[str, Mount], controller: str
) -> Iterator[Path]:
    """Yield the folder of this process's group, then those of its mounted ancestors."""
    mount, group = mounts.get(controller), groups.get(controller)
    if mount is None or group is None:
        return
    # A group outside the mount (a container with the host's /proc/self/cgroup) has its files at the
    # mount point.
    inside = group.relative_to(mount.shown) if group.is_relative_to(mount.shown) else None
    point = root / mount.point.relative_to("/")
    folder = point if inside is None or ".." in inside.parts else point / inside
    yield folder
    while folder != point:
        folder = folder.parent
        yield folder


def _processors(words: list[str]) -> list[float]:
    """Return quota ÷ period of ``["100000", "100000"]``; empty for "max", -1 and missing files."""
    if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) == 0:
        return []
    return [int(words[0]) / int(words[1])]


def _bytes(text: str) -> list[int]:
    return [int(text)] if text.isdecimal() and int(text) < NO_MEMORY_LIMIT else []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
