"""Host memory of this process, for engines whose device is the host itself."""

import pathlib

# A cgroup v1 without a limit says so with a number near 2**63, rounded down to a page.
_NO_LIMIT = 1 << 60
_CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def host_memory():
    """(peak bytes, total bytes, source): this process' largest resident set, and what it may use."""
    return (
        _kib_field("/proc/self/status", "VmHWM"),
        total_bytes(),
        "VmHWM of the stage's process (Python and held batches included) / host memory or its limit",
    )


def total_bytes(meminfo="/proc/meminfo", cgroup_limits=_CGROUP_LIMITS):
    """The host's memory, or the container's limit where that is smaller; None where unknown."""
    known = [_kib_field(meminfo, "MemTotal")] + [_limit(path) for path in cgroup_limits]
    known = [value for value in known if value]
    return min(known) if known else None


def _kib_field(path, name):
    try:
        text = pathlib.Path(path).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    for line in text.splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return None


def _limit(path):
    try:
        text = pathlib.Path(path).read_text(encoding="ascii").strip()
        value = int(text)
    except (OSError, ValueError):
        return None
    return value if 0 < value < _NO_LIMIT else None
