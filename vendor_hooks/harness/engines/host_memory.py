"""Host memory of this process, for engines whose device is the host itself."""

import pathlib
from typing import Iterator, List, Optional, Tuple, Union

# A cgroup v1 without a limit has a number near 2**63 there, rounded down to a page.
_NO_LIMIT = 1 << 60
# Where version 2 and version 1 are mounted, and the file that has a group's limit.
_HIERARCHIES = {
    "": ("/sys/fs/cgroup", "memory.max"),
    "memory": ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
}


def host_memory() -> Tuple[Optional[int], Optional[int], str]:
    """(peak bytes, total bytes, source): this process's largest resident set, and what it may use."""
    return (
        _kib_field("/proc/self/status", "VmHWM"),
        total_bytes(),
        "VmHWM of the engine's process (with Python and the batches it has read) / host memory or its limit",
    )


def total_bytes(root: Union[str, pathlib.Path] = "/") -> Optional[int]:
    """The host's memory, or the smallest limit of this process's control groups; None where unknown."""
    base = pathlib.Path(root)
    known = [_kib_field(base / "proc/meminfo", "MemTotal")]
    known += [_limit(path) for path in _limit_files(base)]
    return min((value for value in known if value), default=None)


def available_bytes(root: Union[str, pathlib.Path] = "/") -> Optional[int]:
    """What the kernel could still give to processes of the host without swapping; None where unknown."""
    return _kib_field(pathlib.Path(root) / "proc/meminfo", "MemAvailable")


def _limit_files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield the files with the memory limits of this process's group and of its ancestors."""
    for controllers, path in _groups(root / "proc/self/cgroup"):
        for controller in controllers:
            if controller in _HIERARCHIES:
                point, name = _HIERARCHIES[controller]
                for part in (path, *path.parents):
                    yield root / point.lstrip("/") / part / name


def _groups(path: pathlib.Path) -> Iterator[Tuple[List[str], pathlib.PurePosixPath]]:
    """Yield (controllers, path of the group without its leading slash) for each hierarchy."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        # In a container the host's path may lead nowhere; the mount point, which is last, has its own files.
        inside = [part for part in group.split("/") if part not in ("", "..")]
        yield controllers.split(","), pathlib.PurePosixPath(*inside)


def _kib_field(path: Union[str, pathlib.Path], name: str) -> Optional[int]:
    try:
        text = pathlib.Path(path).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return None


def _limit(path: pathlib.Path) -> Optional[int]:
    try:
        text = pathlib.Path(path).read_text(encoding="ascii").strip()
        value = int(text)
    except (OSError, ValueError):
        return None
    return value if 0 < value < _NO_LIMIT else None
