"""The stages that the harness runs for every vendor: compile, validate, infer."""

from harness import clock, files
from harness.boundary.opening import describe
from harness.job import Job
from harness.measured_stage import MeasuredStage, engine_of
from harness.outputs.progress import ProgressFile
from harness.outputs.report import Report
from harness.plugins import load_hook_stage


def run_stage(job: Job, report: Report, progress: ProgressFile) -> None:
    """Run ``job.stage`` and fill ``report``; any error is raised."""
    if job.stage == "compile":
        compile_stage(job, report, progress)
    elif job.stage == "validate":
        MeasuredStage(job.validating(), report, progress).run()
    elif job.stage == "infer":
        MeasuredStage(job, report, progress).run()
    else:
        load_hook_stage(job, job.stage)(job, report, progress)


def compile_stage(job: Job, report: Report, progress: ProgressFile) -> None:
    """Let the engine make its files in the cache folder; the report lists them with their digests."""
    progress.phase("compile {}".format(job.engine))
    with engine_of(job, report) as engine:
        started = clock.now_ns()
        report.effective = engine.compile() or {}
        report.details["compile_ns"] = clock.now_ns() - started
        report.describe(engine)
        describe(engine, report)
    made = sorted(path for path in job.cache_dir.rglob("*") if path.is_file())
    report.artifacts = [files.artifact(path, job.folder) for path in made]
