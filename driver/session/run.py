"""Runs one job, from preparation to result, and records it however it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from driver import __version__
from driver.errors import AssayError, disk_faults
from driver.models.base import Failure, FailureKind
from driver.models.rerun import Tolerances
from driver.models.vendor import MonitorSpec
from driver.monitors.seen import MIG_SLICE
from driver.results import statement
from driver.results.roofline import work_of
from driver.results.store import result_folder, write_result
from driver.runners.leftovers import reap_leftovers
from driver.session.device import device_lock
from driver.session.prepare import prepare
from driver.session.recording import Recorder, Recording
from driver.session.result import make_result
from driver.session.stages import JobStages
from driver.session.telemetry import Telemetry
from driver.system.files import write_atomically
from driver.system.hashing import file_sha256
from driver.system.host.machine import describe_host, tree_commit
from driver.system.host.processor import read_processor
from driver.system.stopwatch import Stopwatch
from driver.system.workspace import Workspace, remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from driver.models.base import StageName
    from driver.models.job import JobKey
    from driver.models.result import Result
    from driver.plan.choice import Choice
    from driver.plan.job import PlannedJob
    from driver.session.prepare import Prepared
    from driver.session.site import Site

CHIPS_MEASURED = 1
"""Chips per job: every engine uses one, the first that DEVICE names, even on a multi-chip card."""

CHIP_FACTS = {"title", "peaks", "peaks_source", "memory_gib", "memory_bandwidth"}
"""What a result keeps of its chip's manifest: peaks in operations/s, bandwidth in bytes/s."""


@dataclass(frozen=True, kw_only=True)
class FinishedJob:
    """A result and its folder."""

    result: Result
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """What a job that repeats another must keep, and what its result says of that.

    ``digest`` is the result that it is a rerun of, None for no rerun. ``check`` gets the planned job's
    key and provenance before anything runs, and raises AssayError for another job. ``onnx_sha256`` is
    what the exported model must be, None for any. ``note`` is added to the provenance.
    """

    digest: str | None = None
    onnx_sha256: str | None = None
    check: Callable[[JobKey, Mapping[str, Any]], None] | None = None
    note: Mapping[str, Any] = field(default_factory=dict)


@disk_faults()
def run_job(site: Site, choice: Choice, repetition: Repetition | None = None) -> FinishedJob:
    """Run one job and record it, however it ends.

    Raises AssayError only before there is anything to record: a missing dataset, an image that
    cannot be built. An interruption is recorded as a failure, with everything measured so far.
    """
    stopwatch = Stopwatch()
    reap_leftovers(site.settings.home, site.listener.note)
    if choice.request.wait_s == 0:
        # Fail before anything is fetched or exported.
        with device_lock(site, choice):
            pass
    prepared = prepare(site, choice, stopwatch)
    provenance = _provenance(site, prepared)
    if repetition is not None:
        _repeat(repetition, prepared.planned.key, provenance)
    folder = result_folder(site.settings.results, prepared.planned.key)
    stand_in = prepared.stacks.vendor.stand_in
    telemetry = Telemetry(
        # What a monitor would show here is another machine.
        MonitorSpec() if choice.request.host else choice.vendor.manifest.monitor,
        choice.request.device,
        stopwatch.excluding,
        in_slice=MIG_SLICE in choice.chip_part,
    )
    recording = Recording(planned=prepared.planned, telemetry=telemetry, stand_in=stand_in)
    recording.provenance = provenance
    recording.expected_onnx = None if repetition is None else repetition.onnx_sha256
    runner = choice.runner.value
    with Workspace(site.settings.home, prepared.planned.key.id, runner) as workspace:
        stages = JobStages(
            site, prepared, Recorder(recording=recording, folder=folder), stopwatch, workspace
        )
        try:
            with disk_faults():
                stages.run()
        except AssayError as error:
            recording.failure = Failure(
                kind=error.kind, stage=stages.current, message=error.message, remedy=error.remedy
            )
        except KeyboardInterrupt:
            recording.failure = _interrupted(site, stages.current)
        result = make_result(recording, stopwatch)
        _write(folder, result)
    return FinishedJob(result=result, folder=folder)


def _interrupted(site: Site, stage: StageName | None) -> Failure:
    """Return the failure of an interrupted job, with the scheduler's reason where it has one."""
    found = site.interruption()
    if found is not None:
        return found.model_copy(update={"stage": stage})
    return Failure(
        kind=FailureKind.INTERRUPTED,
        stage=stage,
        message=f"interrupted in {stage or 'preparation'}; figures measured so far are kept",
        remedy="run the same command again; it reuses what is cached",
    )


def _repeat(repetition: Repetition, key: JobKey, provenance: dict[str, Any]) -> None:
    """Check that the job is the one to repeat, and record that it is a repetition."""
    if repetition.check is not None:
        repetition.check(key, provenance)
    if repetition.digest is not None:
        provenance["rerun_of"] = repetition.digest
    provenance.update(repetition.note)


def _write(folder: Path, result: Result) -> None:
    """Write the result and its statement; without room for the result, remove its folder."""
    try:
        path = write_result(folder, result)
    except (AssayError, OSError):
        # Samples and logs alone can neither be shown nor compared.
        remove_tree(folder)
        raise
    write_atomically(folder / statement.FILE, statement.statement_text(result, file_sha256(path)))


def _processor(choice: Choice) -> dict[str, Any]:
    """Return this host's processor where it is the device; a cluster's node has another one."""
    if not choice.vendor.manifest.runs_on_host or choice.elsewhere:
        return {}
    return {"processor": read_processor().model_dump()}


def _card(choice: Choice) -> str | None:
    """Return the serial or UUID of the device, None for a processor and where no monitor reports one."""
    uuids = [device for device in choice.devices if not device.startswith(f"{choice.vendor.name}-")]
    return None if choice.vendor.manifest.runs_on_host else ",".join(uuids) or None


def _settings(planned: PlannedJob) -> dict[str, Any]:
    """Return what a rerun asks for again and nothing else in the result says."""
    choice, template = planned.choice, planned.template
    named = choice.request.preprocess or "default"
    return {
        "options": dict(choice.options),
        "preprocess": named if choice.case.manifest.preprocess else None,
        "device": choice.request.device,
        "threads": template.threads,
        "seed": template.seed,
        "golden_count": template.golden_count,
        "scenario": None if choice.scenario is None else choice.scenario.model_dump(),
    }


def _provenance(site: Site, prepared: Prepared) -> dict[str, Any]:
    choice = prepared.planned.choice
    return {
        "assay": __version__,
        "commit": tree_commit(site.settings.root),
        "host": site.described or describe_host(site.settings.host_name),
        "preprocess": dict(choice.preprocess),
        "input": choice.request.input_kind,
        "arithmetic": choice.precision.arithmetic,
        "chips": CHIPS_MEASURED,
        "card": _card(choice),
        "chips_per_card": choice.chip.chips_per_card,
        "chip": choice.chip.model_dump(include=CHIP_FACTS) | {"part": choice.chip_part or None},
        **_processor(choice),
        "work": work_of(choice.case.manifest.model),
        "measure": prepared.planned.template.measure.model_dump(),
        "settings": _settings(prepared.planned),
        "tolerances": Tolerances.of(choice.case.manifest).model_dump(),
        **prepared.provenance,
    }
