"""What executes a stage: docker, apptainer, process or slurm. A literal dict; no plug-in discovery.

A runner's modules are imported where that runner is opened: containers' take longer than a catalog.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.models.base import RunnerName

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


def _containers(settings: RunnerSettings) -> Runner:
    from driver.runners.docker import DockerRunner
    from driver.runners.remote.runner import RemoteRunner

    if settings.host is None:
        return DockerRunner(home=settings.home)
    return RemoteRunner(home=settings.home, host=settings.host)


def _apptainer(_settings: RunnerSettings) -> Runner:
    from driver.runners.apptainer.runner import ApptainerRunner

    return ApptainerRunner()


def _processes(_settings: RunnerSettings) -> Runner:
    from driver.runners.process import ProcessRunner

    return ProcessRunner()


def _slurm(settings: RunnerSettings) -> Runner:
    from driver.runners.slurm import SlurmRunner

    return SlurmRunner(options=settings.srun_options)


RUNNERS: dict[RunnerName, Callable[[RunnerSettings], Runner]] = {
    RunnerName.DOCKER: _containers,
    RunnerName.APPTAINER: _apptainer,
    RunnerName.PROCESS: _processes,
    RunnerName.SLURM: _slurm,
}


def open_runner(name: RunnerName, settings: RunnerSettings) -> Runner:
    """Return the runner, whose ``availability`` is for the caller to check when a job needs it."""
    return RUNNERS[name](settings)
