"""What a case's task needs around its model (a text encoder), exported in a process of its own.

Exporting is Python on one core, and so is building the model proper: side by side they take as long as
the longer one.
"""

import multiprocessing
import pathlib
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from harness.errors import StageFailure
from harness.job import read_job
from hook import module


@contextmanager
def made_beside(job, folder, wanted):
    """Write the companions into ``folder`` while the block runs; yields a callable for what is said of them.

    The callable waits for their end; it gives None where the case has no companions or ``wanted`` is
    False, and raises their StageFailure.
    """
    if not wanted or not hasattr(module.case_model(), "write_companions"):
        yield lambda: None
        return
    folder.mkdir(parents=True, exist_ok=True)
    # Not forked: torch's threads would be missing in the child.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield _Pending(pool.submit(write, str(job.folder), str(folder)))
        except BaseException:
            # Nobody waits for it any more: Ctrl-C, or weights that do not fit.
            for process in multiprocessing.active_children():
                process.terminate()
            raise


class _Pending:
    """A call that waits for the other process."""

    def __init__(self, future):
        self._future = future

    def __call__(self):
        try:
            failure, told = self._future.result()
        except BrokenProcessPool:
            raise StageFailure(
                "out_of_memory",
                "the process that exports what belongs around the model was killed",
                "raise run.memory_gib.export in case.toml, on a host that has it",
            ) from None
        if failure:
            raise StageFailure(*failure)
        return told


def write(job_folder, folder):
    """In the other process: (None, what is said of them), or (kind, message, remedy) of a failure first."""
    if job_folder not in sys.path:
        sys.path.insert(0, job_folder)
    try:
        job = read_job(job_folder, "export")
        return None, module.case_model().write_companions(job, pathlib.Path(folder))
    except StageFailure as failure:
        return (failure.kind, failure.message, failure.remedy), None
