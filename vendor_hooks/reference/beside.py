"""Part of the stage in a second process: Python code runs on one core, so two parts take as long as the longer.

The second process loads its own weights, from files: mapped pages of a file are no second copy in memory.
"""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from harness import garbage, model_search
from harness.errors import StageFailure
from harness.job import read_job


@contextmanager
def process(job, what):
    """Start another process for the block; yield what runs functions in it, one after the other.

    ``what`` is what it makes, for the failure of a process that was killed.
    """
    # Not forked: the child would lack torch's threads.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield _Process(job, pool, what)
        except BaseException:
            # After Ctrl-C, or a failure of the block itself, the result is not needed.
            for child in multiprocessing.active_children():
                child.terminate()
            raise


class _Process:
    """Another process of the stage."""

    def __init__(self, job, pool, what):
        self._job = job
        self._pool = pool
        self._what = what

    def start(self, function, *arguments):
        """Run ``function(job, *arguments)`` there; return a callable that waits for its result.

        The callable raises the StageFailure of the function, or one of kind out_of_memory if the process
        was killed. ``function`` is a module's own, its arguments are texts.
        """
        future = self._pool.submit(_run, function, str(self._job.folder), arguments)
        return _Pending(future, self._what)


class _Pending:
    """A callable that waits for the other process."""

    def __init__(self, future, what):
        self._future = future
        self._what = what

    def __call__(self):
        try:
            failure, result = self._future.result()
        except BrokenProcessPool:
            raise StageFailure(
                "out_of_memory",
                "the process that exports {} was killed".format(self._what),
                "raise run.memory_gib.export in case.toml, on a host with enough memory",
            ) from None
        if failure:
            raise StageFailure(*failure)
        return result


def _run(function, job_folder, arguments):
    """In the other process: return (None, result), or ((kind, message, remedy) of a failure, None)."""
    garbage.search_rarely()
    model_search.search_once()
    if job_folder not in sys.path:
        sys.path.insert(0, job_folder)
    try:
        return None, function(read_job(job_folder, "export"), *arguments)
    except StageFailure as failure:
        return (failure.kind, failure.message, failure.remedy), None
