"""Entry point of the guest: ``python3 -m harness <stage> <job folder>``; exits with 0 only on success."""

import os
import pathlib
import signal
import sys
import traceback
from typing import Optional, Sequence

from harness import garbage, log, model_search
from harness.errors import StageFailure, StageInterrupted, from_exception
from harness.job import Job, read_job
from harness.outputs.progress import ProgressFile
from harness.outputs.report import Report
from harness.outputs.time_answers import TimeAnswers


def main(arguments: Sequence[str]) -> int:
    """Run one stage and return the exit status; report.json is always written, as the last step."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python3 -m harness <stage> <job folder>\n")
        return 2
    stage, folder = arguments
    garbage.search_rarely()
    model_search.search_once()
    signal.signal(signal.SIGTERM, _interrupt)
    report = Report(stage)
    job = None
    try:
        job = read_job(folder, stage)
        report.job_id, report.repeat = job.id, job.repeat
        _run(job, report)
    except BaseException as error:  # whatever ended the stage, the report must name it
        report.failure = _failure(error, stage, job)
    return _finish(report, job.out_dir if job else pathlib.Path(folder) / "out")


def _run(job: Job, report: Report) -> None:
    from harness.stages import run_stage

    folder = str(job.folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with ProgressFile(job.out_dir, TimeAnswers(job.folder)) as progress:
        run_stage(job, report, progress)


def _failure(error: BaseException, stage: str, job: Optional[Job]) -> StageFailure:
    if isinstance(error, Exception) and not isinstance(error, StageFailure):
        # The log gets the traceback, to fix the hook; the report gets what the user needs.
        traceback.print_exc()
    writable = [str(job.out_dir), str(job.cache_dir)] if job else []
    failure = from_exception(error, stage, job.vendor if job else "…", writable)
    log.say(
        "{} failed ({}): {}\n  → {}".format(stage, failure.kind, failure.message, failure.remedy)
    )
    return failure


def _finish(report: Report, out_dir: pathlib.Path) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    try:
        report.write(out_dir)
    except (OSError, ValueError) as error:
        log.say("cannot write report.json to {}: {}".format(out_dir, error))
        return 1
    return 1 if report.failure else 0


def _interrupt(*_: object) -> None:
    raise StageInterrupted("SIGTERM")


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: a vendor's runtime that crashes during interpreter shutdown must not contradict the
    # report, which is final.
    os._exit(status)
