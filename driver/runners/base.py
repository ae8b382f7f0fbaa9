"""The interface of runners, and what they share: a stage's exit and its log."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

from driver.errors import DISK_REMEDIES, FREE_SPACE, ContractFault, EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from driver.runners.spec import ContainerSpec

TICK_S = 0.2
"""How often ``on_tick`` is called while a stage runs."""

GRACE_S = 5.0
"""Seconds between SIGTERM and SIGKILL."""

LOG_LIMIT_BYTES = 32 << 20


Limiter = Literal["cgroup", "rlimit", "driver", "scheduler", "nobody"]
"""Who enforces a limit: the kernel for the stage alone (cgroup) or for all that its engine's user runs
(rlimit), the driver, which checks every half second, Slurm, or nobody."""


@dataclass(frozen=True, kw_only=True)
class Enforced:
    """What held a stage: its engine ("" for none), whose root it is no one's else, and who limits it.

    ``engine`` is its name and version for people; ``rootless``: it runs as a normal user. ``network``: the
    stage had none but its own. ``missing`` names what every container of Docker's has and this one had not.
    """

    engine: str = ""
    rootless: bool = False
    memory: Limiter = "driver"
    processes: Limiter = "nobody"
    network: bool = True
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a stage ended. ``code`` is 128 + signal for a guest killed by a signal, as in a shell.

    ``wall_s`` covers the whole call; ``overhead_s`` is the part before the guest started and after
    it ended. ``executed_in`` is the image's id or the virtual environment's Python.
    ``peak_memory_bytes`` is the most memory that the guest's processes had at once (see
    ``MemoryWatch``), None where it was not watched.
    """

    code: int
    oom_killed: bool
    timed_out: bool
    wall_s: float
    overhead_s: float
    executed_in: str
    enforced: Enforced = Enforced()
    peak_memory_bytes: int | None = None


class Runner(Protocol):
    """Runs stages one at a time and cleans up however a stage ends."""

    def availability(self) -> None:
        """Raise EnvironmentFault, with a remedy, when this runner cannot work on this host."""

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage to its end and write its output to ``log``.

        ``on_tick`` is called about every TICK_S; whatever it raises ends the stage and propagates,
        as KeyboardInterrupt does. Raises EnvironmentFault or ImageFault when the stage cannot start
        on this machine, ContractFault when its hook is missing.
        """

    def close(self) -> None:
        """Let go of everything."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""


class Closing:
    """The context manager half of a runner."""

    def close(self) -> None:
        """Let go of everything."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def require_hook(spec: ContainerSpec) -> None:
    """Raise ContractFault unless the stage's hook is an executable file."""
    folder = spec.source("hook")
    hook = None if folder is None else folder / "hook"
    if hook is None or not hook.is_file():
        raise ContractFault(
            f"the stage {spec.stage} has no hook: {hook or 'the hook folder'} is missing",
            "add the executable `hook` to the vendor's folder; CONTRIBUTING.md shows its four lines",
        )
    if not os.access(hook, os.X_OK):
        raise ContractFault(f"the hook {hook} is not executable", f"type: chmod +x {hook}")


class CappedLog:
    """A log file of limited size that keeps its beginning and its end."""

    def __init__(self, path: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("wb", buffering=0)
        self._fault: OSError | None = None
        self._room = limit_bytes // 2
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._tail_limit = limit_bytes - self._room
        self._dropped = 0

    def write(self, chunk: bytes) -> None:
        """Append a chunk; beyond the limit only the newest output is kept. Ignored once closed."""
        if self._file.closed:
            return
        head, rest = chunk[: self._room], chunk[self._room :]
        if head:
            self._put(head)
            self._room -= len(head)
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        while self._tail_bytes > self._tail_limit:
            oldest = self._tail.popleft()
            keep = oldest[self._tail_bytes - self._tail_limit :]
            self._dropped += len(oldest) - len(keep)
            self._tail_bytes -= len(oldest) - len(keep)
            if keep:
                self._tail.appendleft(keep)

    def close(self) -> None:
        """Write the kept end, after a line with the number of bytes left out."""
        if self._file.closed:
            return
        if self._dropped:
            self._put(f"\n[... {self._dropped} bytes of output left out ...]\n".encode())
        self._put(b"".join(self._tail))
        with suppress(OSError):
            self._file.close()

    def require_written(self) -> None:
        """Raise EnvironmentFault if the disk did not take all of it; call it after ``close``."""
        if self._fault is not None:
            remedy = DISK_REMEDIES.get(self._fault.errno or 0, FREE_SPACE)
            raise EnvironmentFault(
                f"{self._path}, the log of the stage, cannot be written: {self._fault.strerror}",
                remedy,
            ) from self._fault

    def _put(self, content: bytes) -> None:
        # A guest whose output nobody reads any more would hang, or fail for a fault of the host.
        if self._fault is not None:
            return
        try:
            left = memoryview(content)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._fault = error
