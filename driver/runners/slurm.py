"""Runs a stage through Slurm: the process runner's command, submitted with `srun`."""

from __future__ import annotations

import math
import os
import shutil
import time
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.runners.base import GRACE_S, TICK_S, Closing, Exit, require_hook
from driver.runners.process import guarded, guest_environment, require_python, translated
from driver.workspace import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.containers import ContainerSpec

SRUN_ENVIRONMENT = ("SLURM_", "SBATCH_", "MUNGE_")
TAIL_BYTES = 64 << 10
OUT_OF_MEMORY_SIGNS = ("oom_kill event", "oom-kill event", "Out Of Memory", "OUT_OF_MEMORY")
TIME_LIMIT_SIGNS = ("DUE TO TIME LIMIT", "Exceeded job time limit")


class SlurmRunner(Closing):
    """Runs each stage as one blocking `srun`; work folder and environments lie on a shared disk.

    Slurm enforces memory, processors and time, since a stage may wait in the queue for long.
    """

    def __init__(self, *, options: tuple[str, ...] = (), grace_s: float = GRACE_S) -> None:
        self._options = options
        self._grace_s = grace_s

    def availability(self) -> None:
        """Return when `srun` is on PATH; EnvironmentFault when not."""
        _require_srun()

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage; see Runner. ``overhead_s`` leaves the time in the queue in ``wall_s``."""
        started = time.monotonic()
        srun = _require_srun()
        require_hook(spec)
        python = require_python(spec)
        root, tmp = lay_out(spec)
        guest_env = guest_environment(spec, root=root, tmp=tmp)
        command = [
            *srun_command(spec, srun=srun, options=self._options, names=sorted(guest_env), cwd=tmp),
            *(translated(word, root) for word in spec.argv),
        ]
        env = srun_environment() | guest_env
        with guarded(command, env=env, cwd=tmp, log=log, grace_s=self._grace_s) as guest:
            launched = time.monotonic()
            while not guest.wait(TICK_S):
                on_tick()
            ended = time.monotonic()
        said = _tail(log)
        return Exit(
            code=guest.code,
            oom_killed=guest.code != 0 and any(sign in said for sign in OUT_OF_MEMORY_SIGNS),
            timed_out=guest.code != 0 and any(sign in said for sign in TIME_LIMIT_SIGNS),
            wall_s=time.monotonic() - started,
            overhead_s=(launched - started) + (time.monotonic() - ended),
            executed_in=str(python),
        )


def srun_command(
    spec: ContainerSpec, *, srun: str, options: tuple[str, ...], names: list[str], cwd: Path
) -> list[str]:
    """Return srun with the spec's limits; ``options`` (a partition, --gres) come last and win.

    ``names`` are the variables that the task gets, with their values from srun's environment.
    """
    return [
        srun,
        f"--job-name={spec.name}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={spec.threads}",
        f"--mem={math.ceil(spec.limits.memory_bytes / (1 << 20))}M",
        # Slurm counts in minutes and rounds up.
        f"--time={math.ceil(spec.limits.timeout_s / 60)}",
        f"--chdir={cwd}",
        f"--export={','.join(names)}",
        "--kill-on-bad-exit=1",
        *options,
    ]


def srun_environment() -> dict[str, str]:
    """Return what srun itself needs of the caller's environment; the task does not get it."""
    return {name: value for name, value in os.environ.items() if name.startswith(SRUN_ENVIRONMENT)}


def _require_srun() -> str:
    srun = shutil.which("srun")
    if srun is None:
        raise EnvironmentFault(
            "RUNNER=slurm needs `srun`, which is not on PATH",
            "type this on a login node of the cluster, or use RUNNER=docker or RUNNER=process",
        )
    return srun


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace")
