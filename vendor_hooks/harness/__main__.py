"""Entry of the guest: ``python3 -m harness <stage> <job folder>``; exit 0 exactly when it went well."""

import os
import pathlib
import signal
import sys
import traceback

from harness import log
from harness.errors import Interrupted, StageFailure, from_exception
from harness.job import read_job
from harness.progress import Progress
from harness.report import Report


def main(arguments):
    """Run one stage; whatever happens, report.json is written last. Returns the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python3 -m harness <stage> <job folder>\n")
        return 2
    stage, folder = arguments
    signal.signal(signal.SIGTERM, _interrupt)
    report = Report(stage)
    job = None
    try:
        job = read_job(folder, stage)
        report.job_id, report.repeat = job.id, job.repeat
        _run(job, report)
    except BaseException as error:  # the report must say what ended the stage, whatever it was
        report.failure = _failure(error, stage, job)
    return _finish(report, job.out_dir if job else pathlib.Path(folder) / "out")


def _run(job, report):
    from harness.stages import run_stage

    folder = str(job.folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with Progress(job.out_dir) as progress:
        run_stage(job, report, progress)


def _failure(error, stage, job):
    if isinstance(error, Exception) and not isinstance(error, StageFailure):
        # For who mends the hook: the log has the traceback, the report has what the user needs.
        traceback.print_exc()
    failure = from_exception(error, stage, job.vendor if job else "…")
    log.say(
        "{} failed ({}): {}\n  → {}".format(stage, failure.kind, failure.message, failure.remedy)
    )
    return failure


def _finish(report, out_dir):
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    try:
        report.write(out_dir)
    except (OSError, ValueError) as error:
        log.say("report.json cannot be written in {}: {}".format(out_dir, error))
        return 1
    return 1 if report.failure else 0


def _interrupt(*_):
    raise Interrupted("SIGTERM")


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: a vendor's runtime that crashes while the interpreter is torn down must not
    # contradict the report, which is the last act of a stage.
    os._exit(status)
