"""The interval of a ratio: Welch's where it should be, wider where less is known, and what more would show."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from driver.compare import difference
from driver.compare.difference import DRIFT, NOISE, in_turns, independent

SPEEDS = st.lists(st.floats(min_value=1.0, max_value=1e6), min_size=1, max_size=5)
SESSIONS = st.lists(SPEEDS, min_size=1, max_size=4)
A, B = [98.0, 100.0, 103.0], [110.0, 111.0, 114.0, 109.0]


def test_without_drift_the_interval_is_welchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference, "DRIFT", 0.0)
    found = independent([A], [B])
    welch = scipy.stats.ttest_ind(np.log(B), np.log(A), equal_var=False)
    low, high = welch.confidence_interval(0.95)
    assert found.degrees == pytest.approx(welch.df)
    assert found.interval() == pytest.approx((math.exp(low), math.exp(high)), rel=1e-3)


def test_drift_between_sessions_is_assumed_and_never_averaged_away() -> None:
    many = [[100.0] * 100], [[100.0] * 100]
    reach = math.log(independent(*many).interval().high)
    assert reach == pytest.approx(2.0 * DRIFT * math.sqrt(2), rel=0.03)


def test_one_process_is_as_noisy_as_a_stable_job_may_be() -> None:
    found = independent([[100.0]], [[100.0]])
    assert found.standard_error == pytest.approx(math.sqrt(2 * (NOISE**2 + DRIFT**2)))
    assert found.interval() == pytest.approx((1 / 1.152, 1.152), rel=2e-3), (
        "the bound in the manual"
    )


def test_two_processes_that_differ_by_more_show_it() -> None:
    near, far = independent([[100.0, 101.0]], [A]), independent([[80.0, 125.0]], [A])
    assert far.standard_error > 2 * near.standard_error


def test_three_sessions_are_the_unit_not_their_processes() -> None:
    apart = [[100.0] * 3, [110.0] * 3, [121.0] * 3]
    pooled = [[value for session in apart for value in session]]
    assert independent(apart, [A]).standard_error > 1.5 * independent(pooled, [A]).standard_error


def test_in_turns_the_interval_is_the_paired_one_and_drift_cancels() -> None:
    drifting = [[100.0], [130.0], [90.0], [160.0]]
    faster = [[101.0], [131.5], [90.8], [161.8]]
    found = in_turns(drifting, faster)
    apart = [math.log(b[0] / a[0]) for a, b in zip(drifting, faster, strict=True)]
    low, high = scipy.stats.ttest_1samp(apart, 0).confidence_interval(0.95)
    assert found.interval() == pytest.approx((math.exp(low), math.exp(high)))
    assert found.interval().low > 1
    assert independent(drifting, faster).interval().low < 1


@given(SESSIONS, SESSIONS)
def test_b_against_a_is_the_inverse_of_a_against_b(
    a: list[list[float]], b: list[list[float]]
) -> None:
    forwards, backwards = independent(a, b).interval(), independent(b, a).interval()
    assert forwards.low * backwards.high == pytest.approx(1)
    assert forwards.low < forwards.high


@given(SESSIONS, SESSIONS, st.floats(min_value=0.01, max_value=100))
def test_a_unit_changes_nothing(a: list[list[float]], b: list[list[float]], unit: float) -> None:
    scaled = [[[unit * value for value in session] for session in side] for side in (a, b)]
    found, expected = independent(*scaled).interval(), independent(a, b).interval()
    assert found == pytest.approx(expected, rel=1e-6)


@given(SESSIONS, SESSIONS, st.floats(min_value=0.05, max_value=1.0))
def test_what_more_processes_are_said_to_show_they_show(
    a: list[list[float]], b: list[list[float]], wanted: float
) -> None:
    found = independent(a, b)
    more = found.more(wanted)
    if more is None:
        return
    after = difference.Difference(mean=0.0, parts=tuple(p.with_more(more) for p in found.parts))
    assert after.shows() <= wanted


def test_more_processes_do_not_show_less_than_the_drift() -> None:
    found = independent([A], [B])
    assert found.more(0.02) is None
    rounds = found.rounds(0.02)
    assert rounds is not None
    assert rounds > 3


def test_three_quiet_processes_show_about_4_percent() -> None:
    quiet = [[99.9, 100.0, 100.1]]
    assert independent(quiet, quiet).shows() == pytest.approx(0.042, abs=0.002)
