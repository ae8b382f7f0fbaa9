"""Makes the exported model and golden outputs that jobs share, without running any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import disk_faults
from driver.session.prepare import prepare
from driver.session.recording import Recorder, Recording
from driver.session.stages import JobStages
from driver.session.telemetry import Telemetry
from driver.system.stopwatch import Stopwatch
from driver.system.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.base import Failure, RunnerName
    from driver.plan.choice import Choice
    from driver.session.site import Site


@disk_faults()
def run_export(site: Site, choice: Choice, folder: Path, *, runner: RunnerName) -> Failure | None:
    """Export a job's model unless it is cached; keep the log in ``folder`` and return the failure.

    ``runner`` runs the stage; the choice's own may be another, since that decides whether devices are
    looked for here. Installs the job's stacks and indexes its data too, so that jobs find them. Raises
    what ``prepare`` raises.
    """
    stopwatch = Stopwatch()
    prepared = prepare(site, choice, stopwatch)
    folder.mkdir(parents=True, exist_ok=True)
    telemetry = Telemetry(choice.vendor.manifest.monitor, choice.request.device)
    recording = Recording(planned=prepared.planned, telemetry=telemetry)
    recorder = Recorder(recording=recording, folder=folder)
    # A container of a killed driver is looked for where the work folder says that there may be one.
    with Workspace(site.settings.home, prepared.planned.key.id, runner.value) as workspace:
        JobStages(site, prepared, recorder, stopwatch, workspace).export()
    return recording.failure
