"""Runs a stage as a process of the caller in a virtual environment, without Docker."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import ImageFault, stages_in
from driver.runners import guard
from driver.runners.base import (
    GRACE_S,
    TICK_S,
    CappedLog,
    Closing,
    Exit,
    require_hook,
)
from driver.runners.job_folder import lay_out
from driver.runners.memory import MemoryWatch, kernel_oom_kills
from driver.runners.orphans import Orphans, adopted
from driver.runners.spec import JOB_ROOT
from driver.system.interrupts import interrupts_deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driver.runners.spec import ContainerSpec

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SIGKILL_CODE = 128 + signal.SIGKILL


class ProcessRunner(Closing):
    """Runs stages as processes, isolated only by a clean environment; results carry a warning."""

    def __init__(self, *, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s

    def availability(self) -> None:
        """Always available: a machine that runs the driver can run a process."""

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage; see Runner. The driver polls memory use, as there is no kernel limit."""
        started = time.monotonic()
        require_hook(spec)
        python = require_python(spec)
        root, tmp = lay_out(spec)
        env = guest_environment(spec, root=root, tmp=tmp)
        argv = [translated(word, root) for word in spec.argv]
        oom_kills = kernel_oom_kills()
        with guarded(argv, env=env, cwd=tmp, log=log, grace_s=self._grace_s) as guest:
            launched = time.monotonic()
            memory = MemoryWatch(guest.pid, spec.limits.memory_bytes)
            why = watch(guest, spec, memory, on_tick)
            ended = time.monotonic()
        guest.require_logged()
        kernel_killed = guest.code == SIGKILL_CODE and kernel_oom_kills() > oom_kills
        return Exit(
            code=guest.code,
            oom_killed=why == "memory" or (why is None and kernel_killed),
            timed_out=why == "time",
            wall_s=time.monotonic() - started,
            overhead_s=(launched - started) + (time.monotonic() - ended),
            executed_in=str(python),
            peak_memory_bytes=memory.peak_bytes or None,
        )


class Guest:
    """A command under a guard, with its output in a log."""

    def __init__(
        self,
        argv: list[str],
        orphans: Orphans,
        *,
        env: dict[str, str],
        cwd: Path,
        log: Path,
        grace_s: float,
    ) -> None:
        self._orphans = orphans
        self._grace_s = grace_s
        self._log = CappedLog(log)
        # -I and -S ignore the caller's environment and site-packages, and start fast.
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
        """The exit code, once the guest has ended; 128 + signal if a signal killed it."""
        code = self._guard.returncode
        return 128 - code if code < 0 else code

    def wait(self, timeout_s: float) -> bool:
        """Wait at most ``timeout_s`` for the end; return whether the guest has ended."""
        self._waiter.join(timeout_s)
        return not self._waiter.is_alive()

    def stop(self) -> None:
        """Terminate, then kill, the guest and its descendants; return when they are gone."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        # Not our thread: an interrupt in its join makes Python take it for ended.
        try:
            self._guard.wait(self._grace_s + 15.0)
        except subprocess.TimeoutExpired:
            self._guard.kill()
        self._guard.wait()
        # A killed guard ended nothing; one that ended may have left zombies, which are ours to reap now.
        self._orphans.end()
        # An orphan that cannot be killed may still hold the pipe: do not wait for it.
        self._copier.join(1.0)
        self._log.close()

    def require_logged(self) -> None:
        """Raise EnvironmentFault if the disk did not take the whole log."""
        self._log.require_written()

    def _copy(self) -> None:
        assert self._guard.stdout is not None
        with self._guard.stdout as output:
            while chunk := output.read1(1 << 16):  # type: ignore[attr-defined]
                self._log.write(chunk)


@contextmanager
def guarded(
    argv: list[str], *, env: dict[str, str], cwd: Path, log: Path, grace_s: float
) -> Iterator[Guest]:
    """Run a command under a guard; none of its processes survives the block."""
    with adopted() as orphans:
        guest = Guest(argv, orphans, env=env, cwd=cwd, log=log, grace_s=grace_s)
        try:
            yield guest
        finally:
            with interrupts_deferred():
                guest.stop()


def watch(
    guest: Guest, spec: ContainerSpec, memory: MemoryWatch | None, on_tick: Callable[[], None]
) -> str | None:
    """Wait until the guest ends (None) or exceeds a limit (which one: time or memory)."""
    deadline = time.monotonic() + spec.limits.timeout_s
    while not guest.wait(TICK_S):
        on_tick()
        if time.monotonic() > deadline:
            return "time"
        if memory is not None and memory.exceeded():
            return "memory"
    return None


def require_python(spec: ContainerSpec) -> Path:
    """Return the virtual environment's Python; ImageFault where there is none."""
    venv = spec.stack.venv
    python = None if venv is None else venv / "bin" / "python3"
    if python is None or not python.exists():
        raise ImageFault(
            f"the stage {spec.stage} has no virtual environment: {python or 'none was made'}",
            f"use {stages_in('docker')} if this stack needs its image; `make doctor` lists what is installed",
        )
    return python


def guest_environment(spec: ContainerSpec, *, root: Path, tmp: Path) -> dict[str, str]:
    """Return the guest's whole environment: the spec's, with the paths of its Python and TMPDIR.

    Nothing is inherited from the caller (tokens, proxies, PYTHONPATH, CUDA_VISIBLE_DEVICES), except
    what the stack names for an interpreter of this host to find its libraries and tools.
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
    """Return the word with a leading /job replaced by the job folder's real path."""
    if word == JOB_ROOT or word.startswith(f"{JOB_ROOT}/"):
        return f"{root}{word[len(JOB_ROOT) :]}"
    return word
