"""Run one stage: lay its folder out, start it, watch it, and judge how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from driver.containers import JOB_ROOT, Places, container_spec
from driver.errors import AssayError
from driver.events import read_progress
from driver.hook import calls_harness
from driver.models.base import Failure
from driver.models.result import StageRecord
from driver.outcome import check_measured, judge

if TYPE_CHECKING:
    from pathlib import Path

    from driver.containers import ContainerSpec, Stacks
    from driver.models.job import JobFile
    from driver.models.report import StageReport
    from driver.plan import Choice
    from driver.site import Site
    from driver.workspace import StageFolder

PROGRESS_S = 0.5
LOG_TAIL_BYTES = 8192
REPORT_LIMIT_BYTES = 16 << 20
"""A report is a few KB; a hook that writes more is not believed."""


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """What a stage gets besides code: folders on the host, None where the job has none yet."""

    data: Path | None = None
    model: Path | None = None
    weights: Path | None = None
    golden: Path | None = None
    labels: Path | None = None
    infer: Path | None = None
    validate: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True, kw_only=True)
class StageRun:
    """One stage, about to be run. ``count`` is the number of the dataset's items.

    ``verb`` runs another verb of the reference hook in the stage's place (drawing a synthetic dataset).
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
    """A stage that was run: its record, and its report or its failure."""

    record: StageRecord
    folder: StageFolder
    report: StageReport | None
    failure: Failure | None
    overhead_s: float
    spec: ContainerSpec


def run_stage(site: Site, run: StageRun) -> StageEnd:
    """Run a stage to its end; what goes wrong in it comes back as a failure, not as an exception.

    KeyboardInterrupt goes on to the caller.
    """
    job, folder = run.job, run.folder
    folder.job_json.write_text(job.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
    spec = _spec(site, run)
    started = time.perf_counter()
    try:
        ended = site.runner.run(spec, log=folder.log, on_tick=_Ticker(site, folder))
    except AssayError as error:
        wall_s = time.perf_counter() - started
        return StageEnd(
            record=StageRecord(name=job.stage, repeat=job.repeat, status="failed", wall_s=wall_s),
            folder=folder,
            report=None,
            failure=Failure(
                kind=error.kind, stage=job.stage, message=error.message, remedy=error.remedy
            ),
            overhead_s=0.0,
            spec=spec,
        )
    text = read_report_text(folder.out)
    limit_s = spec.limits.timeout_s
    report, failure = judge(job, ended, text, _log_tail(folder.log), limit_s=limit_s)
    if report is not None and failure is None and run.verb is None:
        by_harness = calls_harness(run.choice.vendor.folder)
        failure = check_measured(job, report, run.count, wall_s=ended.wall_s, by_harness=by_harness)
        # Its figures are not believed: they must not stand in the failed job's result either.
        report = report if failure is None else None
    return StageEnd(
        record=StageRecord(
            name=job.stage,
            repeat=job.repeat,
            status="ok" if failure is None else "failed",
            wall_s=ended.wall_s,
            guest_s=report.wall_ns / 1e9 if report else None,
            image=ended.executed_in if spec.stack.image else None,
        ),
        folder=folder,
        report=report,
        failure=failure,
        overhead_s=ended.overhead_s,
        spec=spec,
    )


def read_report_text(out: Path) -> str | None:
    """Return report.json's text, None when there is none; a link or an oversized file is none."""
    path = out / "report.json"
    try:
        if path.is_symlink() or path.stat().st_size > REPORT_LIMIT_BYTES:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _spec(site: Site, run: StageRun) -> ContainerSpec:
    places = Places(
        folder=run.folder.folder,
        job_json=run.folder.job_json,
        out=run.folder.out,
        harness=site.catalog.harness,
        case=run.choice.case.folder,
        hook=run.choice.vendor.folder,
        reference_hook=site.catalog.reference_hook,
        **{name: getattr(run.inputs, name) for name in StageInputs.__dataclass_fields__},
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


class _Ticker:
    """Reads the guest's progress twice a second and passes it on."""

    def __init__(self, site: Site, folder: StageFolder) -> None:
        self._listener = site.listener
        self._path = folder.out / "progress.json"
        self._next = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PROGRESS_S
        progress = read_progress(self._path)
        if progress is not None:
            self._listener.progress(progress)


def _log_tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - LOG_TAIL_BYTES))
            return stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
