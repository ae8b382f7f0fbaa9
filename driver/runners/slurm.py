"""Runs a stage through Slurm: the process runner's command, submitted with `srun`."""

from __future__ import annotations

import math
import os
import shutil
import time
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.runners.base import (
    GRACE_S,
    LOG_LIMIT_BYTES,
    TICK_S,
    Closing,
    Enforced,
    Exit,
    require_hook,
)
from driver.runners.job_folder import lay_out
from driver.runners.process import guarded, guest_environment, require_python, translated
from driver.system.untrusted.opener import RefusedFile, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.runners.spec import ContainerSpec

SRUN_ENVIRONMENT = ("SLURM_", "SBATCH_", "MUNGE_")
TAIL_BYTES = 64 << 10
OUT_OF_MEMORY_SIGNS = ("oom_kill event", "oom-kill event", "Out Of Memory", "OUT_OF_MEMORY")
TIME_LIMIT_SIGNS = ("DUE TO TIME LIMIT", "Exceeded job time limit")


class SlurmRunner(Closing):
    """Runs each stage as one blocking `srun`; needs ASSAY_HOME on a shared disk.

    Slurm enforces memory, processor and time limits: the driver's clock would include the queue.
    """

    def __init__(self, *, options: tuple[str, ...] = (), grace_s: float = GRACE_S) -> None:
        self._options = options
        self._grace_s = grace_s

    def availability(self) -> None:
        """Raise EnvironmentFault when `srun` is not on PATH."""
        _require_srun()

    def run(self, spec: ContainerSpec, *, log: Path, on_tick: Callable[[], None]) -> Exit:
        """Run one stage; see Runner. Time in the queue counts in ``wall_s``, not ``overhead_s``."""
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
        guest.require_logged()
        said = _tail(log)
        return Exit(
            code=guest.code,
            oom_killed=guest.code != 0 and any(sign in said for sign in OUT_OF_MEMORY_SIGNS),
            timed_out=guest.code != 0 and any(sign in said for sign in TIME_LIMIT_SIGNS),
            wall_s=time.monotonic() - started,
            overhead_s=(launched - started) + (time.monotonic() - ended),
            executed_in=str(python),
            enforced=Enforced(memory="scheduler"),
        )


def srun_command(
    spec: ContainerSpec, *, srun: str, options: tuple[str, ...], names: list[str], cwd: Path
) -> list[str]:
    """Return the srun command with the spec's limits; ``options`` (partition, --gres) override.

    ``names`` are the variables that srun passes on to the task.
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
    """Return the caller's variables that srun itself needs; the task does not get them."""
    return {name: value for name, value in os.environ.items() if name.startswith(SRUN_ENVIRONMENT)}


def _require_srun() -> str:
    srun = shutil.which("srun")
    if srun is None:
        raise EnvironmentFault(
            "RUNNER=slurm needs `srun`, which is not on PATH",
            "run this on a login node of the cluster, or use RUNNER=docker, RUNNER=apptainer or "
            "RUNNER=process",
        )
    return srun


def _tail(log: Path) -> str:
    # The task runs as this user, and could have replaced its log.
    try:
        with opened(log.parent, log.name, 2 * LOG_LIMIT_BYTES) as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode(errors="replace")
    except (RefusedFile, FileNotFoundError):
        return ""
