"""How a stage ended, pure: its exit, its report and its log → the report to go on with, or a failure.

Nothing printed is proof: a stage succeeded when it exited 0 *and* left a complete report that says so.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from driver.models.base import Failure, FailureKind, StageName
from driver.models.report import StageReport

if TYPE_CHECKING:
    from driver.models.base import Clock
    from driver.models.job import JobFile
    from driver.runners.base import Exit

SIGNAL_BASE = 128
TELLING_LINES = 6
NS_PER_S = 1e9
_ALLOWED: dict[Clock, float] = {"harness": 1.01, "hook": 1.01, "vendor-tool": 1.1}
"""How far a loop may exceed its stage: a node's clock drifts, a tool rounds what it prints."""

CRASH_KINDS: dict[StageName, FailureKind] = {
    StageName.EXPORT: FailureKind.EXPORT,
    StageName.COMPILE: FailureKind.COMPILE,
    StageName.VALIDATE: FailureKind.INFER,
    StageName.INFER: FailureKind.INFER,
    StageName.SCORE: FailureKind.HOST,
}


class ReportRejectedError(Exception):
    """The report is not what the contract asks; the text says why."""


def judge(
    job: JobFile, ended: Exit, report_text: str | None, log_text: str, *, limit_s: float
) -> tuple[StageReport | None, Failure | None]:
    """Return the stage's report and the failure to book, at most one of them None.

    A report that says "failed" comes back together with its failure.
    """
    stage = job.stage
    if ended.timed_out:
        return None, Failure(
            kind=FailureKind.TIMEOUT,
            stage=stage,
            message=f"{stage} ran longer than its limit of {limit_s:g} s{_tail(log_text)}",
            remedy=f"raise run.timeout_s.{stage} in case.toml, or use LIMIT for a look",
        )
    if ended.oom_killed:
        return None, Failure(
            kind=FailureKind.OUT_OF_MEMORY,
            stage=stage,
            message=f"{stage} was ended because it used more memory than its limit{_tail(log_text)}",
            remedy=f"a smaller BS, or raise run.memory_gib.{stage} in case.toml",
        )
    try:
        report = read_report(job, report_text)
    except ReportRejectedError as error:
        return None, _without_report(stage, ended.code, str(error), log_text)
    return _agreeing(report, ended.code, log_text)


def read_report(job: JobFile, text: str | None) -> StageReport:
    """Parse report.json; ReportRejectedError says what about it breaks the contract."""
    if text is None:
        raise ReportRejectedError("left no report.json in its out folder")
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ReportRejectedError(f"left a report.json that is not JSON ({error})") from error
    try:
        report = StageReport.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ReportRejectedError(
            f"left a report.json that its schema refuses: {where}: {first['msg']}"
        ) from error
    asked = {"stage": job.stage.value, "job_id": job.job.id, "repeat": job.repeat}
    told = {"stage": report.stage.value, "job_id": report.job_id, "repeat": report.repeat}
    wrong = [
        f"{name} is {value}, job.json says {asked[name]}"
        for name, value in told.items()
        if value != asked[name]
    ]
    if wrong:
        raise ReportRejectedError(f"left the report of another stage or job ({'; '.join(wrong)})")
    return report


def check_measured(
    job: JobFile, report: StageReport, count: int, *, wall_s: float, by_harness: bool
) -> Failure | None:
    """Return the contract failure of a timed stage that did not measure what it must, or None.

    ``count`` is the dataset's items: the first process of infer goes over all of them. ``wall_s`` is
    how long the stage took by the driver's own clock; ``by_harness``: its hook can call our harness.
    """
    if job.stage not in (StageName.VALIDATE, StageName.INFER):
        return None
    loops = {loop.name: loop for loop in report.measurements}
    missing = [name for name in ("core", "whole") if name not in loops]
    if missing:
        return _contract(job.stage, f"{job.stage} reported no {' and no '.join(missing)} loop", "")
    if job.repeat == 0 and loops["whole"].items != count:
        return _contract(
            job.stage,
            f"{job.stage} reported {loops['whole'].items} items, the dataset has {count}",
            "",
        )
    wrong = _too_long(job, report, wall_s)
    if wrong is None and not by_harness and any(loop.clock == "harness" for loop in loops.values()):
        wrong = (
            'reported loops of clock: harness, but its hook never calls the harness; "clock": "hook" '
            "is what a hook says that times itself"
        )
    return None if wrong is None else _contract(job.stage, f"{job.stage} {wrong}", "")


def _too_long(job: JobFile, report: StageReport, wall_s: float) -> str | None:
    """Say which loop cannot have happened: none lasts longer than its stage, nor do all together.

    A tool's wall time is computed from the rate or the mean that it printed, so that it stands for
    itself alone; what it tells of computing is what must have happened, since its copies may be
    counted for executions that made none (docs/figures.md). In a single pass the core's calls are
    the whole loop's own.
    """
    for loop in report.measurements:
        told_ns = loop.compute_ns if loop.clock == "vendor-tool" else None
        happened_ns = loop.wall_ns if told_ns is None else told_ns
        if happened_ns > _ALLOWED[loop.clock] * wall_s * NS_PER_S:
            return (
                f"reported a {loop.name} loop of {happened_ns / NS_PER_S:g} s, the whole stage took "
                f"{wall_s:.3g} s"
            )
    together = sum(
        loop.wall_ns
        for loop in report.measurements
        if loop.clock != "vendor-tool" and not (job.measure.single_pass and loop.name == "core")
    )
    if together > _ALLOWED["hook"] * wall_s * NS_PER_S:
        return (
            f"reported loops of {together / NS_PER_S:g} s together, the whole stage took "
            f"{wall_s:.3g} s"
        )
    return None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _agreeing(
    report: StageReport, code: int, log_text: str
) -> tuple[StageReport | None, Failure | None]:
    if report.status == "ok" and code == 0:
        return report, None
    if report.status == "failed" and report.failure is None:
        return None, _contract(
            report.stage, f"{report.stage} reported a failure without saying which", log_text
        )
    if report.status == "failed" and report.failure is not None and code != 0:
        # A hook need not say in which stage it is.
        return report, report.failure.model_copy(update={"stage": report.stage})
    said = "success" if report.status == "ok" else "a failure"
    return None, _contract(
        report.stage, f"{report.stage} reported {said} and exited with {code}", log_text
    )


def _without_report(stage: StageName, code: int, problem: str, log_text: str) -> Failure:
    if code > SIGNAL_BASE:
        return Failure(
            kind=CRASH_KINDS[stage],
            stage=stage,
            message=f"{stage} was ended by signal {code - SIGNAL_BASE} and {problem}{_tail(log_text)}",
            remedy="the whole log lies beside the result; a crash of the SDK is its vendor's to mend",
        )
    return _contract(stage, f"{stage} exited with {code} and {problem}", log_text)


def _contract(stage: StageName, message: str, log_text: str) -> Failure:
    return Failure(
        kind=FailureKind.CONTRACT,
        stage=stage,
        message=message + _tail(log_text),
        remedy="`make check VENDOR=…` tries the hook on its own; docs/contract.md says what a stage leaves",
    )


def _tail(log_text: str) -> str:
    lines = [line.strip() for line in log_text.splitlines() if line.strip()]
    if not lines:
        return ""
    return "; its log ends:\n  " + "\n  ".join(lines[-TELLING_LINES:])
