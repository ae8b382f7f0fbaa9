"""Opens the engine: in a process of its own, or beside the harness where the engine asks for that."""

import contextlib

from harness.boundary import kernel
from harness.boundary.remote import RemoteEngine
from harness.engine import Engine
from harness.errors import StageFailure
from harness.job import Job, module_name
from harness.outputs.report import Report
from harness.plugins import load_engine


def open_engine(job: Job, report: Report) -> Engine:
    """The engine of ``job``; the report says how it is kept apart.

    Vendor code is imported in its own process, which says whether the engine wants to share this one.
    """
    # Before that process exists: /proc and ptrace then show it nothing of this one.
    hidden = kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    engine = RemoteEngine(job)
    try:
        engine.open()
    except BaseException:
        # What close raises now would hide why the engine could not be opened.
        with contextlib.suppress(Exception):
            engine.close()
        raise
    if engine.same_process:
        engine.close()
        if job.tier == "official":
            raise _refused(job)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
        report.engine_process = {"separate": False}
        return load_engine(job)
    report.engine_process = {
        "separate": True,
        "memory_hidden": hidden,
        "landlock": engine.landlock,
    }
    return engine


def _refused(job: Job) -> StageFailure:
    return StageFailure(
        "contract",
        "engine {} has same_process = True, so it could change what the harness measures: TIER=official does "
        "not accept its figures".format(job.engine),
        "remove same_process from engines/{}.py in {}'s folder, or use TIER=standard".format(
            module_name(job.engine), job.vendor
        ),
    )


def describe(engine: Engine, report: Report) -> None:
    """Add what is known once batches have run: the cost of a message, and whether inputs are locked."""
    if isinstance(engine, RemoteEngine) and report.engine_process is not None:
        report.engine_process.update(
            call_ns=engine.call_ns or None, inputs_locked=engine.inputs_locked
        )
