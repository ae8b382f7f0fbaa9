"""Runs a stage as a process of the caller, in a virtual environment: no Docker needed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from driver.containers import JOB_ROOT
from driver.errors import ImageFault
from driver.runners import guard
from driver.runners.base import (
    GRACE_S,
    TICK_S,
    CappedLog,
    Closing,
    Exit,
    interrupts_deferred,
    require_hook,
)
from driver.runners.memory import MemoryWatch, kernel_oom_kills
from driver.workspace import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driver.containers import ContainerSpec

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SIGKILL_CODE = 128 + signal.SIGKILL


class ProcessRunner(Closing):
    """Runs stages as processes. Nothing isolates them but a clean environment: results say so."""

    def __init__(self, *, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s

    def availability(self) -> None:
        """Return: every machine that runs the driver can run a process."""

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage; see Runner. The kernel is not asked for a memory limit: we watch."""
        started = time.monotonic()
        require_hook(spec)
        python = require_python(spec)
        root, tmp = lay_out(spec)
        env = guest_environment(spec, root=root, tmp=tmp)
        argv = [translated(word, root) for word in spec.argv]
        oom_kills = kernel_oom_kills()
        with guarded(argv, env=env, cwd=tmp, log=log, grace_s=self._grace_s) as guest:
            launched = time.monotonic()
            why = _watch(guest, spec, on_tick)
            ended = time.monotonic()
        kernel_killed = guest.code == SIGKILL_CODE and kernel_oom_kills() > oom_kills
        return Exit(
            code=guest.code,
            oom_killed=why == "memory" or (why is None and kernel_killed),
            timed_out=why == "time",
            wall_s=time.monotonic() - started,
            overhead_s=(launched - started) + (time.monotonic() - ended),
            executed_in=str(python),
        )


class Guest:
    """A command under a guard, with its output going to a log."""

    def __init__(
        self, argv: list[str], *, env: dict[str, str], cwd: Path, log: Path, grace_s: float
    ) -> None:
        self._grace_s = grace_s
        self._log = CappedLog(log)
        # -I and -S: nothing of the caller's environment or site-packages is read, and fast.
        command = [sys.executable, "-I", "-S", guard.__file__, str(grace_s), *argv]
        self._guard = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self.pid = self._guard.pid
        self._copier = threading.Thread(target=self._copy, daemon=True)
        self._waiter = threading.Thread(target=self._guard.wait, daemon=True)
        self._copier.start()
        self._waiter.start()

    @property
    def code(self) -> int:
        """The exit code, once the guest has ended; 128 + signal where a signal ended it."""
        code = self._guard.returncode
        return 128 - code if code < 0 else code

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end at most so long; say whether it has come."""
        self._waiter.join(timeout_s)
        return not self._waiter.is_alive()

    def stop(self) -> None:
        """End the guest, kindly first, and all its descendants; return when they are gone."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        if not self.wait(self._grace_s + 15.0):
            self._guard.kill()
        self._waiter.join()
        # Should the guard have been killed, an orphan may hold the pipe open: do not wait for it.
        self._copier.join(1.0)
        self._log.close()

    def _copy(self) -> None:
        assert self._guard.stdout is not None
        with self._guard.stdout as output:
            while chunk := output.read1(1 << 16):  # type: ignore[attr-defined]
                self._log.write(chunk)


@contextmanager
def guarded(
    argv: list[str], *, env: dict[str, str], cwd: Path, log: Path, grace_s: float
) -> Iterator[Guest]:
    """Run a command under a guard; when the block is left, however, nothing of it is alive."""
    guest = Guest(argv, env=env, cwd=cwd, log=log, grace_s=grace_s)
    try:
        yield guest
    finally:
        with interrupts_deferred():
            guest.stop()


def _watch(guest: Guest, spec: ContainerSpec, on_tick: Callable[[], None]) -> str | None:
    """Wait for the end and return None, or why the guest must be stopped: time or memory."""
    memory = MemoryWatch(guest.pid, spec.limits.memory_bytes)
    deadline = time.monotonic() + spec.limits.timeout_s
    while not guest.wait(TICK_S):
        on_tick()
        if time.monotonic() > deadline:
            return "time"
        if memory.exceeded():
            return "memory"
    return None


def require_python(spec: ContainerSpec) -> Path:
    """Return the virtual environment's Python; ImageFault where there is none."""
    venv = spec.stack.venv
    python = None if venv is None else venv / "bin" / "python3"
    if python is None or not python.exists():
        raise ImageFault(
            f"the stage {spec.stage} has no virtual environment: {python or 'none was made'}",
            "this stack may need its image: use RUNNER=docker, or `make doctor` to see what is there",
        )
    return python


def guest_environment(spec: ContainerSpec, *, root: Path, tmp: Path) -> dict[str, str]:
    """Return the guest's whole environment: the spec's, and where its Python and TMPDIR are.

    Nothing of the caller's: no token, proxy, PYTHONPATH or CUDA_VISIBLE_DEVICES of theirs. An
    interpreter of the host's is found its libraries and tools by what the stack names.
    """
    assert spec.stack.venv is not None
    found = dict(spec.stack.env)
    own = found | {
        "PATH": f"{spec.stack.venv / 'bin'}:{found.get('PATH') or SYSTEM_PATH}",
        "HOME": str(tmp),
        "TMPDIR": str(tmp),
    }
    return own | {name: translated(value, root) for name, value in spec.env.items()}


def translated(word: str, root: Path) -> str:
    """Return the word with the container's /job replaced by the job folder's real path."""
    if word == JOB_ROOT or word.startswith(f"{JOB_ROOT}/"):
        return f"{root}{word[len(JOB_ROOT) :]}"
    return word
