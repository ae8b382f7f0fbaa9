"""Judges how a stage ended, from its exit, report and log: a valid report or a failure. Pure.

A stage succeeded only if it exited with 0 *and* left a complete report with status "ok". Printed
output proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from driver.models.base import Failure, FailureKind, StageName, problems
from driver.models.report import StageReport
from driver.system.untrusted import documents

if TYPE_CHECKING:
    from driver.models.job import JobFile
    from driver.results.received.left import LeftReport
    from driver.runners.base import Exit

SIGNAL_BASE = 128
TELLING_LINES = 6
CRASH_KINDS: dict[StageName, FailureKind] = {
    StageName.EXPORT: FailureKind.EXPORT,
    StageName.COMPILE: FailureKind.COMPILE,
    StageName.VALIDATE: FailureKind.INFER,
    StageName.INFER: FailureKind.INFER,
    StageName.SCORE: FailureKind.HOST,
}


class ReportRejectedError(Exception):
    """The report breaks the contract; the text says how."""


def judge(
    job: JobFile, ended: Exit, left: LeftReport, log_text: str, *, limit_s: float
) -> tuple[StageReport | None, Failure | None]:
    """Return the stage's report and its failure; at most one of them is None.

    A report with status "failed" comes back together with its failure.
    """
    stage = job.stage
    if ended.timed_out:
        return None, Failure(
            kind=FailureKind.TIMEOUT,
            stage=stage,
            message=f"{stage} ran longer than its limit of {limit_s:g} s{_tail(log_text)}",
            remedy=f"raise run.timeout_s.{stage} in case.toml, or make a smoke run: LIMIT=64",
        )
    if ended.oom_killed:
        return None, Failure(
            kind=FailureKind.OUT_OF_MEMORY,
            stage=stage,
            message=f"{stage} was killed because it exceeded its memory limit{_tail(log_text)}",
            remedy=f"use a smaller BS, or raise run.memory_gib.{stage} in case.toml",
        )
    try:
        report = read_report(job, left)
    except ReportRejectedError as error:
        return None, _without_report(stage, ended.code, str(error), log_text)
    return _agreeing(report, ended.code, log_text)


def read_report(job: JobFile, left: LeftReport) -> StageReport:
    """Parse report.json; ReportRejectedError says how it breaks the contract."""
    if left.refused is not None:
        raise ReportRejectedError(f"left a report that is refused: {left.refused}")
    if left.text is None:
        raise ReportRejectedError("left no report.json in its out folder")
    try:
        document = documents.parsed(left.text)
    except ValueError as error:
        raise ReportRejectedError(f"left a report.json that is not JSON ({error})") from error
    try:
        report = StageReport.model_validate(document)
    except ValidationError as error:
        raise ReportRejectedError(
            f"left a report.json that does not match its schema: {problems(error)[0]}"
        ) from error
    asked = {"stage": job.stage.value, "job_id": job.job.id, "repeat": job.repeat}
    reported = {"stage": report.stage.value, "job_id": report.job_id, "repeat": report.repeat}
    wrong = [
        f"{name} is {value}, but job.json has {asked[name]}"
        for name, value in reported.items()
        if value != asked[name]
    ]
    if wrong:
        raise ReportRejectedError(f"left the report of another stage or job ({'; '.join(wrong)})")
    return report


def _agreeing(
    report: StageReport, code: int, log_text: str
) -> tuple[StageReport | None, Failure | None]:
    if report.status == "ok" and code == 0:
        return report, None
    if report.status == "failed" and report.failure is None:
        return None, broken_contract(
            report.stage, f"{report.stage} reported a failure without saying which", log_text
        )
    if report.status == "failed" and report.failure is not None and code != 0:
        # A hook's failure need not name its stage.
        failure = report.failure.model_copy(update={"stage": report.stage})
        if failure.kind is FailureKind.CONTRACT:
            # Its loops did not do what they were timed for: their figures must not appear.
            report = report.model_copy(update={"measurements": ()})
        return report, failure
    said = "success" if report.status == "ok" else "a failure"
    return None, broken_contract(
        report.stage, f"{report.stage} reported {said} but exited with {code}", log_text
    )


def _without_report(stage: StageName, code: int, problem: str, log_text: str) -> Failure:
    if code > SIGNAL_BASE:
        return Failure(
            kind=CRASH_KINDS[stage],
            stage=stage,
            message=f"{stage} was killed by signal {code - SIGNAL_BASE} and {problem}{_tail(log_text)}",
            remedy="read the full log beside the result; report a crash of the SDK to its vendor",
        )
    return broken_contract(stage, f"{stage} exited with {code} and {problem}", log_text)


def broken_contract(stage: StageName, message: str, log_text: str = "") -> Failure:
    """Return the failure of a stage whose hook broke the contract; ``message`` says how."""
    return Failure(
        kind=FailureKind.CONTRACT,
        stage=stage,
        message=message + _tail(log_text),
        remedy="test the hook on its own with `make check VENDOR=…`; docs/contract.md specifies "
        "what a stage must leave",
    )


def _tail(log_text: str) -> str:
    lines = [line.strip() for line in log_text.splitlines() if line.strip()]
    if not lines:
        return ""
    return "; its log ends:\n  " + "\n  ".join(lines[-TELLING_LINES:])
