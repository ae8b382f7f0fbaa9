"""The simulation is the same on every machine, and misses what it should miss."""

from __future__ import annotations

from typing import Any

import pytest

from driver.compare import speed
from driver.compare.difference import Difference, Part, independent
from tests.bench.bench_compare import LOOPS, NOISES, POWERS, compared, drifting, missed, order

PAIRS = 300
BY_NAME = {noise.name: noise for noise in (*NOISES, *POWERS)}


def table(**rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"pairs": 2000, "false_alarms": [], "intervals": [], "drift": [], **rows}


def test_the_same_seed_gives_the_same_shares() -> None:
    noise = BY_NAME["3 + 3 processes, noise of 4 %"]
    assert compared(noise, PAIRS, 1) == compared(noise, PAIRS, 1)
    assert len({compared(noise, PAIRS, seed)["called"] for seed in range(1, 5)}) > 1


@pytest.mark.parametrize("noise", [one for one in NOISES if one.bounded], ids=lambda one: one.name)
def test_equal_speeds_are_rarely_called_different(noise: Any) -> None:
    assert compared(noise, PAIRS, 3)["called"] <= 0.09, "5 %, and chance"


def test_a_method_that_believes_three_values_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def believing(a: Any, b: Any) -> Difference:
        found = independent(a, b)
        parts = (Part(variance=part.variance / 3, count=part.count) for part in found.parts)
        return Difference(mean=found.mean, parts=tuple(parts))

    monkeypatch.setattr(speed, "independent", believing)
    row = compared(BY_NAME["3 + 3 processes, noise of 4 %"], PAIRS, 3)
    assert missed(table(false_alarms=[row])) == [row["noise"]]


def test_turns_alternate() -> None:
    assert order(BY_NAME["4 rounds in turns, a walk of 1 %"]) == "ABBAABBA"
    assert order(BY_NAME["2 + 2 processes"]) == "AB"


def test_drift_is_found_and_noise_is_not() -> None:
    shares = {loops.name: drifting(loops, 50, 3)["warned"] for loops in (LOOPS[0], LOOPS[8])}
    assert list(shares.values()) == [0.0, 1.0]


def test_rows_beyond_their_bound_are_missed_and_unbounded_ones_are_not() -> None:
    rows = [
        {"noise": "a", "called": 0.08},
        {"noise": "b", "called": 0.05},
        {"noise": "c", "called": 0.9, "bounded": False},
    ]
    intervals = [{"processes": 3, "covered": 0.76}, {"processes": 5, "covered": 0.95}]
    drift = [
        {"loops": "d", "warned": 0.03, "drifts": False},
        {"loops": "e", "warned": 0.5, "drifts": True},
        {"loops": "f", "warned": 0.5, "drifts": None},
    ]
    found = missed(table(false_alarms=rows, intervals=intervals, drift=drift))
    assert found == ["a", "interval of 3", "d", "e"]
