"""Identifies the driver process that owns a container or work folder, and whether it is alive."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class DriverProcess:
    """A driver's identity, which no later process can share.

    ``start`` is the process's start in clock ticks since boot (field 22 of /proc/<pid>/stat): a
    reused pid has a different one. ``host``, ``boot`` and ``namespace`` say where the pid is valid.
    """

    pid: int
    start: int
    host: str
    boot: str
    namespace: str

    @classmethod
    def current(cls) -> Self:
        """Return this process's identity."""
        pid = os.getpid()
        return cls(
            pid=pid,
            start=_start_ticks(pid) or 0,
            host=_host(),
            boot=_read(PROC / "sys/kernel/random/boot_id"),
            namespace=_pid_namespace(),
        )

    def to_dict(self) -> dict[str, str]:
        """Return the identity as strings, for container labels and owner files."""
        return {key: str(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, str]) -> Self:
        """Read what ``to_dict`` wrote; KeyError or ValueError for anything else."""
        text = {field.name: values[field.name] for field in fields(cls)}
        return cls(
            pid=int(text["pid"]),
            start=int(text["start"]),
            host=text["host"],
            boot=text["boot"],
            namespace=text["namespace"],
        )

    def is_dead(self) -> bool:
        """Whether the process is certainly gone; False if that cannot be checked from here."""
        here = DriverProcess.current()
        if self.host != here.host:
            return False
        if self.boot != here.boot:
            return True
        if self.namespace != here.namespace:
            return False
        return _start_ticks(self.pid) != self.start


def _start_ticks(pid: int) -> int | None:
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name is in parentheses and may contain spaces: count fields after it.
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(rest[18])


def _host() -> str:
    machine = _read(Path("/etc/machine-id"))
    return f"{platform.node()}/{machine}"


def _pid_namespace() -> str:
    return str((PROC / "self/ns/pid").readlink())


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
