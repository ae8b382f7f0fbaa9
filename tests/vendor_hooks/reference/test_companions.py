"""What a case exports around its model, in a process beside the build: done, refused, killed, given up."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness.forks import EXPORTING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness.job_folder import JobFolder, Outcome

pytestmark = pytest.mark.stack

WRITES = '''
def write_companions(job, folder):
    """Leave a file and say something of it."""
    import multiprocessing
    (folder / "around").mkdir()
    (folder / "around" / "words.txt").write_text(job.case)
    return {"around": {"beside": multiprocessing.parent_process() is not None}}
'''
REFUSES = '''
def write_companions(job, folder):
    """Find the weights wanting."""
    from harness.errors import StageFailure
    raise StageFailure("data", "no text encoder here", "give one")
'''
KILLED = '''
def write_companions(job, folder):
    """End as the kernel ends what takes too much."""
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
'''
WAITS = '''
def write_companions(job, folder):
    """Take longer than anybody would wait."""
    import time
    time.sleep(600)
'''


@pytest.fixture
def export(
    make_digits: Callable[..., JobFolder], reference_python: Path
) -> Callable[[str], Outcome]:
    """Return what exports vit_digits with more in its model.py."""

    def run(more: str) -> Outcome:
        job = make_digits()
        case = job.folder / "case"
        kept = case.resolve()
        case.unlink()
        shutil.copytree(kept, case)
        with (case / "model.py").open("a", encoding="utf-8") as stream:
            stream.write(more)
        return job.run_forked("export", python=reference_python, modules=EXPORTING)

    return run


def test_companions_lie_beside_the_graph(export: Callable[[str], Outcome]) -> None:
    outcome = export(WRITES)
    assert outcome.ok.details["companions"] == {"around": {"beside": True}}
    assert (outcome.out / "model" / "around" / "words.txt").read_text() == "colours"
    assert {"build", "companions"} <= set(outcome.ok.details["steps_ns"])


def test_companions_that_are_refused_are_the_stages_failure(
    export: Callable[[str], Outcome],
) -> None:
    assert "no text encoder here" in export(REFUSES).failed("data")


def test_companions_that_are_killed_took_too_much_memory(export: Callable[[str], Outcome]) -> None:
    assert "was killed" in export(KILLED).failed("out_of_memory")


def test_nobody_waits_for_companions_of_weights_that_do_not_fit(
    export: Callable[[str], Outcome],
) -> None:
    outcome = export(WAITS + "\n\ndef build(*_):\n    raise MemoryError('weights')\n")
    outcome.failed("out_of_memory")
