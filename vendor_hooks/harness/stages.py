"""The stages that the harness runs for every vendor: compile, validate, infer."""

from harness import clock, files
from harness.load import load_engine, load_hook_stage
from harness.measuring import Measuring


def run_stage(job, report, progress):
    """Run ``job.stage`` and fill ``report``; raises what goes wrong."""
    if job.stage == "compile":
        compile_stage(job, report, progress)
    elif job.stage == "validate":
        Measuring(job.validating(), report, progress).run()
    elif job.stage == "infer":
        Measuring(job, report, progress).run()
    else:
        load_hook_stage(job, job.stage)(job, report, progress)


def compile_stage(job, report, progress):
    """Have the engine make its files in the cache folder; they are named with their digests."""
    progress.phase("compile {}".format(job.engine))
    engine = load_engine(job)
    try:
        started = clock.now_ns()
        report.effective = engine.compile() or {}
        report.details["compile_ns"] = clock.now_ns() - started
        report.describe(engine)
    finally:
        # A stand-in that fails is one too; it knows only once it has looked for its SDK.
        report.simulated = bool(engine.simulated)
        engine.close()
    made = sorted(path for path in job.cache_dir.rglob("*") if path.is_file())
    report.artifacts = [files.artifact(path, job.folder) for path in made]
