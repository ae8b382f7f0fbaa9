"""What a bench takes for a figure, how it takes turns, and how it ends when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from driver.models.result import Result
from driver.system.settings import ROOT
from tests import documents
from tests.bench.jobs import AccuracyFailed, NotComparable, caveats, sound
from tests.bench.rates import Rates, in_turns
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path


def result(**changes: Any) -> Result:
    return Result.model_validate_json(json.dumps(documents.document(**changes)))


def failed(kind: str) -> dict[str, Any]:
    failure = {"kind": kind, "stage": "score", "message": "it ended", "remedy": "do this"}
    return {"status": "failed", "failure": failure}


def test_a_whole_result_is_sound() -> None:
    found = result()
    assert sound(found) is found


def test_a_figure_whose_accuracy_failed_is_none() -> None:
    with pytest.raises(AccuracyFailed) as caught:
        sound(result(status="accuracy_failed"))
    assert caught.value.exit_code == 4


def test_nor_one_of_a_job_that_failed_after_it_was_measured() -> None:
    with pytest.raises(NotComparable, match=r"score: \[infer\] it ended") as caught:
        sound(result(**failed("infer")))
    assert caught.value.remedy == "do this"


def test_nor_a_stand_ins() -> None:
    with pytest.raises(NotComparable, match="stand-in"):
        sound(result(simulated=True))


def test_a_job_that_was_interrupted_interrupts_the_bench() -> None:
    with pytest.raises(KeyboardInterrupt):
        sound(result(**failed("interrupted")))


def test_warnings_that_put_a_figure_in_question_are_counted() -> None:
    warned = {"message": "m", "remedy": "r"}
    throttled, smoke = {"code": "throttled", **warned}, {"code": "smoke", **warned}
    results = [result(warnings=[throttled, smoke]), result(), result(warnings=[throttled])]
    assert caveats(results) == "; 2 of 3 throttled"


def test_sides_run_in_turns_and_every_other_pair_begins_at_the_other_end() -> None:
    ran: list[str] = []

    def side(name: str) -> float:
        ran.append(name)
        return float(len(ran))

    found = in_turns(3, [lambda: side("a"), lambda: side("b")])
    assert ran == ["a", "b", "b", "a", "a", "b"]
    assert found == [Rates((1.0, 4.0, 5.0)), Rates((2.0, 3.0, 6.0))]


def test_rates_are_told_by_their_median_with_the_slowest_and_the_fastest() -> None:
    ours, theirs = Rates((10.0, 1.0, 12.0)), Rates((10.0, 2.0, 8.0))
    assert str(ours) == "10 items/s (1–12)"
    assert ours.times(theirs) == 10.0 / 8.0
    assert ours.pairwise(theirs) == (0.5, 1.5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_bench_that_is_ended_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    program = textwrap.dedent("""
        import sys, tempfile, time
        from tests.bench.entry import ended
        def bench():
            with tempfile.TemporaryDirectory():
                print("up", flush=True)
                time.sleep(600)
        sys.exit(ended(bench))
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "up\n"
            running.send_signal(number)
            _, printed = running.communicate(timeout=PATIENCE_S)
        finally:
            running.kill()
    assert running.returncode == 130
    assert printed.startswith("assay: interrupted")
    assert not list(tmp_path.iterdir())
