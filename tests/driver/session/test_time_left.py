"""Timed phases show the time that is left, from the job's measuring times or from the items done."""

from __future__ import annotations

import pytest

from driver.events import Progress
from driver.models.job import Measure
from driver.session.time_left import PhaseClock, planned_seconds

MEASURE = Measure(min_seconds=60.0, repeats=3)


def progress(
    phase: str, done: int = 0, total: int | None = None, rate: float | None = None
) -> Progress:
    return Progress(phase=phase, done=done, total=total, unit="items", rate=rate)


@pytest.mark.parametrize(
    ("phase", "repeat", "seconds"),
    [
        ("core", 0, 60.0),
        ("core, timed by the vendor's tool", 0, 60.0),
        ("warm up", 0, 30.0),
        ("latency", 0, 10.0),
        ("whole", 0, None),
        ("whole", 1, 60.0),
        ("load tensorrt", 0, None),
    ],
)
def test_a_phase_that_time_ends_has_its_seconds(
    phase: str, repeat: int, seconds: float | None
) -> None:
    assert planned_seconds(phase, MEASURE, repeat) == seconds


def test_a_load_scenario_takes_at_least_the_duration_of_its_tier() -> None:
    assert planned_seconds("LoadGen: server", MEASURE, 0, 600.0) == 600.0
    assert planned_seconds("LoadGen, search of the highest rate", MEASURE, 0, 600.0) is None
    clock = PhaseClock(MEASURE, 0, 600.0)
    assert clock.with_time_left(progress("LoadGen: offline"), 5.0).left_s == 600.0


def test_the_core_loop_of_a_single_pass_is_not_ended_by_time() -> None:
    assert planned_seconds("core", MEASURE.model_copy(update={"single_pass": True}), 0) is None


def test_the_time_left_counts_down_from_the_start_of_the_phase() -> None:
    clock = PhaseClock(MEASURE, 0)
    assert clock.with_time_left(progress("warm up"), 100.0).left_s == 30.0
    assert clock.with_time_left(progress("core"), 110.0).left_s == 60.0
    assert clock.with_time_left(progress("core"), 150.0).left_s == 20.0
    assert clock.with_time_left(progress("core"), 171.0).left_s is None, "it may last longer"


def test_counted_work_takes_its_time_from_the_rate() -> None:
    clock = PhaseClock(MEASURE, 0)
    counted = progress("whole", done=20, total=100, rate=4.0)
    assert clock.with_time_left(counted, 0.0).left_s == 20.0
    assert clock.with_time_left(progress("whole", total=100), 0.0).left_s is None
    assert clock.with_time_left(progress("whole", 1, 10**12, 0.1), 0.0).left_s is None


def test_a_later_process_ends_with_the_time_or_the_dataset_whichever_is_first() -> None:
    clock = PhaseClock(MEASURE, 1)
    assert clock.with_time_left(progress("whole", 20, 100, 4.0), 0.0).left_s == 20.0
    assert clock.with_time_left(progress("whole", 20, 10_000, 4.0), 30.0).left_s == 30.0
