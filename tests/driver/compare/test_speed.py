"""Faster, slower, indistinguishable or cannot tell; and what would decide."""

from __future__ import annotations

import pytest

from driver.compare.speed import SMALLEST, Speed, SpeedVerdict, judge


def side(core: float, noise: float = 0.002, processes: int = 3) -> list[list[float]]:
    steps = [0.0, -noise, noise, noise / 2, -noise / 2][:processes]
    return [[core * (1 + step) for step in steps]]


def judged(b: list[list[float]], a: list[list[float]] | None = None) -> Speed:
    return judge(a or side(100.0), b, SMALLEST, measured_in_turns=False)


@pytest.mark.parametrize(
    ("core", "verdict"),
    [
        (106.0, SpeedVerdict.FASTER),
        (94.0, SpeedVerdict.SLOWER),
        (100.5, SpeedVerdict.INDISTINGUISHABLE),
        (102.5, SpeedVerdict.CANNOT_TELL),
    ],
)
def test_a_difference_counts_from_2_percent_and_beyond_the_drift(
    core: float, verdict: SpeedVerdict
) -> None:
    assert judged(side(core)).verdict is verdict


@pytest.mark.parametrize("core", [100.0, 105.0, 114.0, 88.0])
def test_single_processes_cannot_tell_up_to_15_percent(core: float) -> None:
    found = judged(side(core, processes=1), side(100.0, processes=1))
    assert found.verdict is SpeedVerdict.CANNOT_TELL


@pytest.mark.parametrize(
    ("core", "verdict"), [(116.0, SpeedVerdict.FASTER), (86.0, SpeedVerdict.SLOWER)]
)
def test_single_processes_show_more_than_15_percent(core: float, verdict: SpeedVerdict) -> None:
    assert judged(side(core, processes=1), side(100.0, processes=1)).verdict is verdict


def test_noisy_sides_are_not_indistinguishable() -> None:
    noisy = side(100.0, noise=0.08)
    found = judged(noisy, noisy)
    assert found.verdict is SpeedVerdict.CANNOT_TELL
    assert found.more is not None


def test_what_is_too_small_to_count_is_not_faster_however_certain() -> None:
    a, b = [[100.0]] * 4, [[101.0], [101.01], [101.02], [101.0]]
    found = judge(a, b, SMALLEST, measured_in_turns=True)
    assert found.interval.low > 1
    assert found.verdict is SpeedVerdict.INDISTINGUISHABLE
    assert judge(a, b, 0.005, measured_in_turns=True).verdict is SpeedVerdict.FASTER


def test_how_many_more_would_decide_is_said() -> None:
    found = judged(side(106.0, noise=0.03), side(100.0, noise=0.03))
    assert found.verdict is SpeedVerdict.CANNOT_TELL
    assert found.more is not None
    assert found.more.startswith("about ")
    assert "more processes of each would show a difference of 6.0%" in found.more


def test_where_drift_hides_it_measuring_in_turns_is_suggested() -> None:
    found = judged(side(102.5))
    assert found.more is not None
    assert "RUN=1 REPEAT=" in found.more


def test_results_are_what_there_must_be_more_of_where_they_are_the_unit() -> None:
    a = [[100.0], [104.0], [97.0]]
    b = [[106.0], [110.0], [103.0]]
    found = judged(b, a)
    assert found.more is not None
    assert "more results of each" in found.more
    rounds = judge(a, [[110.0], [98.0], [120.0]], SMALLEST, measured_in_turns=True)
    assert rounds.more is not None
    assert "more rounds" in rounds.more


def test_the_interval_contains_the_ratio_of_skewed_values() -> None:
    skewed = [[100.0] * 9 + [10.0]]
    found = judged(skewed, [[100.0] * 10])
    assert found.interval.low <= found.ratio <= found.interval.high
