"""What executes a stage: docker, process or slurm. A literal dict; no plug-in discovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.models.base import RunnerName
from driver.runners.docker import DockerRunner
from driver.runners.process import ProcessRunner
from driver.runners.remote.runner import RemoteRunner
from driver.runners.slurm import SlurmRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.runners.base import Runner


@dataclass(frozen=True, kw_only=True)
class RunnerSettings:
    """What runners need to know of this host.

    ``home`` is ASSAY_HOME, which owns leftover containers. ``srun_options`` go to srun verbatim.
    ``host``: the other host whose engine runs the stages.
    """

    home: Path
    srun_options: tuple[str, ...] = ()
    host: str | None = None


def _containers(settings: RunnerSettings) -> DockerRunner:
    if settings.host is None:
        return DockerRunner(home=settings.home)
    return RemoteRunner(home=settings.home, host=settings.host)


RUNNERS: dict[RunnerName, Callable[[RunnerSettings], Runner]] = {
    RunnerName.DOCKER: _containers,
    RunnerName.PROCESS: lambda _settings: ProcessRunner(),
    RunnerName.SLURM: lambda settings: SlurmRunner(options=settings.srun_options),
}


def open_runner(name: RunnerName, settings: RunnerSettings) -> Runner:
    """Return the runner, whose ``availability`` is for the caller to check when a job needs it."""
    return RUNNERS[name](settings)
