"""What a case's task needs around its model (such as a text encoder), exported in a separate process.

Exporting is Python code on one core, and so is building the model itself: in parallel, they take as long
as the longer one.
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
    """Write the companions into ``folder`` while the block runs; yield a callable for their description.

    The callable waits for the other process; it returns None if the case has no companions or ``wanted``
    is False, and raises the StageFailure of the other process.
    """
    if not wanted or not hasattr(module.case_model(), "write_companions"):
        yield lambda: None
        return
    folder.mkdir(parents=True, exist_ok=True)
    # Not forked: the child would lack torch's threads.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield _Pending(pool.submit(write, str(job.folder), str(folder)))
        except BaseException:
            # After Ctrl-C, or a failure of the model itself, the result is not needed.
            for process in multiprocessing.active_children():
                process.terminate()
            raise


class _Pending:
    """A callable that waits for the other process."""

    def __init__(self, future):
        self._future = future

    def __call__(self):
        try:
            failure, description = self._future.result()
        except BrokenProcessPool:
            raise StageFailure(
                "out_of_memory",
                "the process that exports the companions of the model (such as a text encoder) was killed",
                "raise run.memory_gib.export in case.toml, on a host with enough memory",
            ) from None
        if failure:
            raise StageFailure(*failure)
        return description


def write(job_folder, folder):
    """In the other process: return (None, description), or ((kind, message, remedy) of a failure, None)."""
    if job_folder not in sys.path:
        sys.path.insert(0, job_folder)
    try:
        job = read_job(job_folder, "export")
        return None, module.case_model().write_companions(job, pathlib.Path(folder))
    except StageFailure as failure:
        return (failure.kind, failure.message, failure.remedy), None
