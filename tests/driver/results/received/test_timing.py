"""A loop is held to the driver's clock within what the answers leave open: a busy machine accuses nobody."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from driver.models.report import Measurement, StageReport
from driver.results.received.clock import Reading
from driver.results.received.timing import Clocked, timed

S = 1_000_000_000
OFFSET_NS = 17 * S
"""Where the guest's clock stands when the driver's shows 0."""


def loop(seconds: float, begin_s: float = 10.0, **changes: Any) -> Measurement:
    """A loop that begins at ``begin_s`` and lasts ``seconds`` by the guest's clock."""
    values = {"name": "core", "items": 8, "calls": 2, "in_flight": 1, "clock": "harness"}
    times = {"wall_ns": int(seconds * S), "started_ns": OFFSET_NS + int(begin_s * S)}
    return Measurement.model_validate(values | times | changes)


def reading(
    at_s: float, name: str, *, rate: float = 1.0, late_s: float = 0.0, back_s: float = 0.0
) -> Reading:
    """An answer that was given at ``at_s``, after waiting ``late_s``, and took ``back_s`` to arrive."""
    asked, heard = int((at_s - late_s) * S), int((at_s + back_s) * S)
    return Reading(asked, heard, OFFSET_NS + int(at_s * rate * S), name)


def readings(
    seconds: float, *, rate: float = 1.0, worst_s: float = 0.001, busy: bool = False
) -> list[Reading]:
    """Answers to questions twice a second, and at begin and end, around a loop from true second 10 on."""
    random, found = Random(1), []
    begin, end = 10.0, 10.0 + seconds
    moments = [begin, end + 1e-4, *(n / 2 for n in range(int(2 * (end + 5))))]
    for at in sorted(moments):
        delays = [random.random() ** (1 if busy else 4) * worst_s for _ in range(2)]
        name = "core" if begin <= at < end else "-"
        found.append(reading(at, name, rate=rate, late_s=delays[0], back_s=delays[1]))
    return found


def clocked(measured: Measurement, answers: list[Reading]) -> Clocked:
    report = StageReport.model_validate(
        {
            "schema": "assay/stage-report/1",
            "job_id": "0" * 16,
            "stage": "infer",
            "repeat": 0,
            "status": "ok",
            "wall_ns": 100 * S,
            "measurements": [measured],
        }
    )
    return Clocked(report, answers)


def contradiction(measured: Measurement, answers: list[Reading]) -> str:
    return clocked(measured, answers).contradiction(single_pass=False) or ""


@pytest.mark.parametrize("seconds", [0.2, 1.0, 60.0, 600.0])
@pytest.mark.parametrize("worst_s", [0.0001, 0.05, 2.0])
def test_an_honest_loop_is_never_accused_however_late_its_answers_are(
    seconds: float, worst_s: float
) -> None:
    answers = readings(seconds, worst_s=worst_s, busy=True)
    assert contradiction(loop(seconds), answers) == ""
    found = timed(loop(seconds), answers)
    assert found is not None
    assert found.least_s <= seconds <= found.most_s


@pytest.mark.parametrize(("rate", "said"), [(0.97, "at least 61.8"), (1.03, "at most 58.2")])
def test_a_clock_that_is_three_percent_off_is_found_both_ways(rate: float, said: str) -> None:
    measured = loop(60.0, begin_s=10.0 * rate)
    answers = readings(60.0 / rate, rate=rate)
    assert said in contradiction(measured, answers)
    slow_and_busy = readings(60.0 / rate, rate=rate, worst_s=0.4, busy=True)
    assert "by the driver's clock" in contradiction(measured, slow_and_busy)


def test_a_clock_within_one_percent_passes() -> None:
    for rate in (0.992, 1.008):
        assert contradiction(loop(60.0, 10.0 * rate), readings(60.0 / rate, rate=rate)) == ""


def test_a_loop_that_reports_less_than_it_said_it_ran_is_found() -> None:
    """Its clock is right, its report is not."""
    answers = readings(60.0)
    assert "by its answers it ran 2.5" in contradiction(loop(57.0), answers)
    assert "by its answers it ran 3.0" in contradiction(loop(57.0, begin_s=13.0), answers)
    assert "by its answers it did not run" in contradiction(loop(63.0), answers)


def test_calls_with_gaps_between_them_are_held_to_the_rate_alone() -> None:
    answers = readings(60.0)
    single = clocked(loop(57.0), answers)
    assert single.contradiction(single_pass=True) is None
    assert contradiction(loop(57.0, name="latency"), answers) == ""
    assert contradiction(loop(57.0, name="latency"), readings(60.0, rate=0.97)) != ""


def test_a_thread_that_was_kept_waiting_after_its_loop_is_not_accused() -> None:
    answers = [*readings(1.0), reading(11.4, "core"), reading(11.2, "~")]
    assert contradiction(loop(1.0), answers) == ""


def test_both_durations_are_kept_and_how_closely_the_drivers_is_known() -> None:
    document = clocked(loop(60.0), readings(60.0, worst_s=0.002)).document()
    found = document["loops"]["core"]
    assert found["guest_s"] == 60.0
    assert abs(found["driver_s"] - 60.0) <= found["within_s"] + 1e-6 < 0.004
    assert document["unchecked"] == []
    assert document["answers"] > 120


def test_a_loop_without_answers_at_its_begin_and_end_is_unchecked() -> None:
    for answers in ([], readings(60.0)[:60], readings(60.0)[60:]):
        assert clocked(loop(60.0), answers).document()["unchecked"] == ["core"]
        assert contradiction(loop(60.0), answers) == ""


def test_a_hook_that_times_itself_need_not_answer_but_is_held_if_it_does() -> None:
    own = loop(60.0, clock="hook")
    assert clocked(own, []).document() == {"answers": 0, "loops": {}, "unchecked": []}
    slow = loop(60.0, begin_s=9.7, clock="hook")
    assert contradiction(slow, readings(60.0 / 0.97, rate=0.97)) != ""
    tool = loop(60.0, clock="vendor-tool")
    assert clocked(tool, readings(60.0)).document()["loops"] == {}
