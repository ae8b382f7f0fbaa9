"""Runs one stage: creates its folder, starts it, watches it, and judges how it ended."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from driver.catalog.hook import calls_harness
from driver.errors import AssayError
from driver.models.base import Failure
from driver.models.result import StageRecord
from driver.results.received.clock import ClockWatch
from driver.results.received.left import (
    Samples,
    log_tail,
    read_left_report,
    read_loops_samples,
    require_plain,
)
from driver.results.received.timing import Clocked
from driver.results.received.watch import OutWatch, out_limit
from driver.results.scenarios.logs import WrongScenarioError, read_scenario
from driver.runners.spec import JOB_ROOT, Places, container_spec
from driver.session.judging.claims import MEASURED_STAGES, beyond_device, contradiction, of_samples
from driver.session.judging.outcome import ReportRejectedError, broken_contract, judge
from driver.session.time_left import PhaseClock
from driver.system.untrusted.opener import RefusedFile

if TYPE_CHECKING:
    from driver.events import Progress
    from driver.models.job import JobFile
    from driver.models.report import StageReport
    from driver.plan.choice import Choice
    from driver.results.scenarios.detail_log import Logged
    from driver.runners.base import Enforced
    from driver.runners.spec import ContainerSpec, Stacks, StageInputs
    from driver.session.site import Site
    from driver.system.workspace import StageFolder


@dataclass(frozen=True, kw_only=True)
class StageRun:
    """One stage, ready to run. ``count`` is the number of items in the dataset.

    ``verb`` runs another verb of the reference hook instead, such as ``data``, which draws a
    synthetic dataset.
    """

    choice: Choice
    stacks: Stacks
    job: JobFile
    folder: StageFolder
    inputs: StageInputs
    count: int
    verb: str | None = None


@dataclass(frozen=True, kw_only=True)
class StageEnd:
    """A stage that ran: its record, its report or failure, and its loops' samples by their name.

    ``enforced``: what held it, None if it did not start.
    """

    record: StageRecord
    folder: StageFolder
    report: StageReport | None
    failure: Failure | None
    overhead_s: float
    spec: ContainerSpec
    enforced: Enforced | None = None
    samples: Samples = field(default_factory=dict)
    scenario: Logged | None = None
    """What LoadGen logged of the job's load scenario."""
    clock: dict[str, Any] | None = None
    """What the driver's clock said of the loops; None for a stage without loops."""


def run_stage(site: Site, run: StageRun) -> StageEnd:
    """Run a stage to its end. Errors in the stage are returned as a failure, not raised.

    KeyboardInterrupt propagates.
    """
    job, folder = run.job, run.folder
    folder.job_json.write_text(job.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
    watch = _clock_watch(run)
    spec = _spec(site, run, watch)
    started = time.perf_counter()
    try:
        with watch or nullcontext():
            ended = site.runner.run(spec, log=folder.log, on_tick=_watch(site, run))
    except AssayError as error:
        return _not_run(run, spec, error, time.perf_counter() - started)
    limit_s, tail = spec.limits.timeout_s, log_tail(folder.folder, folder.log.name)
    report, failure = judge(job, ended, read_left_report(folder.out), tail, limit_s=limit_s)
    samples: Samples = {}
    scenario = None
    clocked = None if report is None or watch is None else Clocked(report, watch.readings)
    if report is not None and failure is None:
        try:
            samples, scenario = _believed(run, report, ended.wall_s, clocked)
        except ReportRejectedError as error:
            failure = broken_contract(job.stage, f"{job.stage} {error}")
            # Drop the figures as well: they must not appear in the failed job's result.
            report = None
    return StageEnd(
        record=StageRecord(
            name=job.stage,
            repeat=job.repeat,
            status="ok" if failure is None else "failed",
            wall_s=ended.wall_s,
            guest_s=report.wall_ns / 1e9 if report else None,
            peak_memory_bytes=ended.peak_memory_bytes,
            image=ended.executed_in if spec.stack.image else None,
        ),
        folder=folder,
        report=report,
        failure=failure,
        overhead_s=ended.overhead_s,
        spec=spec,
        enforced=ended.enforced,
        samples=samples,
        scenario=scenario,
        clock=None if clocked is None else clocked.document(),
    )


def _not_run(run: StageRun, spec: ContainerSpec, error: AssayError, wall_s: float) -> StageEnd:
    """Return the end of a stage that the runner could not run, or had to stop."""
    job = run.job
    return StageEnd(
        record=StageRecord(name=job.stage, repeat=job.repeat, status="failed", wall_s=wall_s),
        folder=run.folder,
        report=None,
        failure=Failure(
            kind=error.kind, stage=job.stage, message=error.message, remedy=error.remedy
        ),
        overhead_s=0.0,
        spec=spec,
    )


def held_to_device(ended: StageEnd, device_bytes: int | None) -> StageEnd:
    """Return the stage, failed if it reported more memory than its device has (None: unknown)."""
    report = ended.report
    if report is None or ended.failure is not None or report.simulated:
        return ended
    wrong = beyond_device(report.memory, device_bytes)
    if wrong is None:
        return ended
    return replace(
        ended,
        record=ended.record.model_copy(update={"status": "failed"}),
        report=None,
        failure=broken_contract(report.stage, f"{report.stage} reported {wrong}"),
        samples={},
        scenario=None,
    )


def _watch(site: Site, run: StageRun) -> OutWatch:
    parameters = run.choice.case.manifest.model.parameters
    limit_bytes = out_limit(run.job, parameters, run.count)
    scenario = run.job.scenario
    load_s = None if scenario is None else scenario.min_duration_ms / 1e3
    clock = PhaseClock(run.job.measure, run.job.repeat, load_s)

    def show(progress: Progress) -> None:
        site.listener.progress(clock.with_time_left(progress, time.monotonic()))

    return OutWatch(run.folder.out, run.job.stage, limit_bytes, show)


def _clock_watch(run: StageRun) -> ClockWatch | None:
    """Return what asks a stage with loops for its time; None for another stage, or a disk without sockets."""
    if run.verb is not None or run.job.stage not in MEASURED_STAGES:
        return None
    try:
        return ClockWatch(run.folder.clock)
    except OSError:
        return None


def _believed(
    run: StageRun, report: StageReport, wall_s: float, clocked: Clocked | None
) -> tuple[Samples, Logged | None]:
    """Return the samples of a successful stage, and what LoadGen logged in it.

    Raises ReportRejectedError if its files or its claims do not hold.
    """
    job, loops = run.job, report.measurements
    measured = run.verb is None and job.stage in MEASURED_STAGES
    try:
        require_plain(run.folder.out)
        samples = read_loops_samples(run.folder.out, loops) if measured else {}
        scenario = read_scenario(job, report, run.folder.out) if measured else None
    except RefusedFile as error:
        raise ReportRejectedError(f"left a file that is refused: {error}") from error
    except WrongScenarioError as error:
        raise ReportRejectedError(f"reported {error}") from error
    if run.verb is not None:
        return {}, None
    by_harness = calls_harness(run.choice.vendor.folder)
    wrong = contradiction(job, report, run.count, wall_s=wall_s, by_harness=by_harness)
    found = (of_samples(loop, samples[loop.name]) for loop in loops if loop.name in samples)
    wrong = wrong or next(filter(None, found), None)
    if wrong is None and clocked is not None:
        wrong = clocked.contradiction(single_pass=job.measure.single_pass)
    if wrong is not None:
        raise ReportRejectedError(f"reported {wrong}")
    return samples, scenario


def _spec(site: Site, run: StageRun, watch: ClockWatch | None) -> ContainerSpec:
    places = Places(
        folder=run.folder.folder,
        job_json=run.folder.job_json,
        out=run.folder.out,
        harness=site.catalog.harness,
        case=run.choice.case.folder,
        hook=run.choice.vendor.folder,
        reference_hook=site.catalog.reference_hook,
        clock=None if watch is None else watch.folder,
        **vars(run.inputs),
    )
    spec = container_spec(
        run.job,
        places,
        vendor=run.choice.vendor.manifest,
        case=run.choice.case.manifest,
        stacks=run.stacks,
        caller=site.caller,
    )
    if run.verb is None:
        return spec
    return replace(spec, argv=(f"{JOB_ROOT}/hook/hook", run.verb, JOB_ROOT))
