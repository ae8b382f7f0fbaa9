"""What every runner offers, and what they share: the exit of a stage, its log, held-back Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from driver.errors import ContractFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType, TracebackType

    from driver.containers import ContainerSpec

TICK_S = 0.2
"""How often ``on_tick`` is called while a stage runs."""

GRACE_S = 5.0
"""Between the request to stop and the kill."""

LOG_LIMIT_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a stage ended. A guest that a signal ended has the code 128 + signal, as in a shell.

    ``wall_s`` is the whole call; ``overhead_s`` is its share before the guest started and after it
    ended. ``executed_in`` is the image's id or the Python of the virtual environment.
    """

    code: int
    oom_killed: bool
    timed_out: bool
    wall_s: float
    overhead_s: float
    executed_in: str


class Runner(Protocol):
    """Runs stages, one at a time, and leaves nothing behind however a stage ends."""

    def availability(self) -> None:
        """Return when it can work here; EnvironmentFault, with what to type next, when not."""

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage to its end and write its output to ``log``.

        ``on_tick`` is called about every TICK_S; whatever it raises ends the stage and goes on
        to the caller, as KeyboardInterrupt does. Raises EnvironmentFault or ImageFault when the
        stage cannot start on this machine, ContractFault when there is no hook to start.
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
            f"there is no hook for the stage {spec.stage}: {hook or 'no hook folder'} is missing",
            "add the executable `hook` to the vendor's folder; CONTRIBUTING shows the four lines",
        )
    if not os.access(hook, os.X_OK):
        raise ContractFault(f"the hook {hook} is not executable", f"type: chmod +x {hook}")


class CappedLog:
    """A log file that never grows beyond a limit: its beginning and its end are kept."""

    def __init__(self, path: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._room = limit_bytes // 2
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._tail_limit = limit_bytes - self._room
        self._dropped = 0

    def write(self, chunk: bytes) -> None:
        """Append a chunk; beyond the limit only the newest are remembered. Too late is no error."""
        if self._file.closed:
            return
        head, rest = chunk[: self._room], chunk[self._room :]
        if head:
            self._file.write(head)
            self._file.flush()
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
        """Write the remembered end behind a line that says how much is missing."""
        if self._dropped:
            self._file.write(f"\n[... {self._dropped} bytes of output left out ...]\n".encode())
        self._file.write(b"".join(self._tail))
        self._file.close()


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Hold Ctrl-C back until the block is through: half-made and half-removed things leak."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[FrameType | None] = []
    # None stands for a handler that was not installed from Python.
    previous = signal.getsignal(signal.SIGINT) or signal.default_int_handler
    signal.signal(signal.SIGINT, lambda _number, frame: held.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if held and callable(previous):
        previous(signal.SIGINT, held[0])
