"""Runs a vendor's tool for its output, in its own process group, and leaves no process behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from driver.system.interrupts import interrupts_deferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Answer(NamedTuple):
    """How a command ended and what it printed."""

    returncode: int
    out: bytes
    err: bytes


class CommandHung(Exception):
    """A command did not answer in time; ``program`` is the program in its pipeline that hung."""

    def __init__(self, program: str, timeout_s: float) -> None:
        super().__init__(f"{program} did not answer in {timeout_s:g} s")
        self.program = program


_running: set[int] = set()
_running_lock = threading.Lock()


@contextlib.contextmanager
def running_commands() -> Iterator[frozenset[int]]:
    """Give the pids of the commands that run now; no command starts or ends until the block does."""
    with _running_lock:
        yield frozenset(_running)


class Command:
    """A command that is killed, with all its children, after ``timeout_s`` or by ``stop``."""

    def __init__(
        self, argv: Sequence[str], timeout_s: float, *, env: Mapping[str, str] | None = None
    ) -> None:
        self.argv = tuple(argv)
        self._timeout_s = timeout_s
        self._env = env
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self) -> Answer:
        """Return what the command printed. Raises CommandHung if killed, OSError if it cannot start."""
        with self._started() as process:
            try:
                out, err = process.communicate(timeout=self._timeout_s)
            except subprocess.TimeoutExpired:
                raise CommandHung(_hanging(process.pid, self.argv), self._timeout_s) from None
        return Answer(process.returncode, out, err)

    def stop(self) -> None:
        """Kill the command that another thread runs, and make later runs fail."""
        with self._lock:
            self._stopped = True
            if self._running is not None:
                _kill_group(self._running)

    @contextlib.contextmanager
    def _started(self) -> Iterator[subprocess.Popen[bytes]]:
        process = None
        try:
            # An interrupt before we have the process's handle would leave it running.
            with interrupts_deferred():
                process = self._start()
            yield process
        except BaseException:
            # A Ctrl-C reaches us alone: the command is in a session of its own.
            if process is not None:
                _kill_group(process)
            raise
        finally:
            if process is not None:
                with process:  # closes its pipes and takes its exit status
                    pass
                with _running_lock:
                    _running.discard(process.pid)
            with self._lock:
                self._running = None

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise InterruptedError(0, "it was stopped")
            with _running_lock:
                self._running = subprocess.Popen(
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=self._env,
                    start_new_session=True,
                )
                _running.add(self._running.pid)
            return self._running


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _hanging(group: int, argv: Sequence[str]) -> str:
    """Return the program that a hung group waits for: the tool in ``sh -c "tool | sed"``."""
    children = sorted(pid for pid in _members(group) if pid != group)
    if not children:
        return argv[0]
    try:
        return Path(f"/proc/{children[0]}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return argv[0]


def _members(group: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, pgrp = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == group and state != "Z":
                yield int(folder.name)
