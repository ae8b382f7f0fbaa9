"""What a case's task needs around its model (such as a text encoder), exported in a separate process."""

import pathlib
from contextlib import contextmanager

from hook import beside, module


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
    what = "the companions of the model (such as a text encoder)"
    with beside.process(job, what) as other:
        yield other.start(write, str(folder))


def write(job, folder):
    """Write the companions of a job's model into ``folder``; return their description."""
    return module.case_model().write_companions(job, pathlib.Path(folder))
