"""Medians, intervals and percentiles: right where they can be, absent where they cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, bootstrap

from driver import statistics

FIGURES = st.lists(st.floats(min_value=1e-3, max_value=1e6), min_size=3, max_size=9)


@pytest.mark.parametrize("percent", sorted(statistics.MINIMUM_SAMPLES))
def test_minimum_samples_are_loadgens_early_stopping(percent: int) -> None:
    def chance(samples: int) -> float:
        return float(binom.cdf(1, samples, 1 - percent / 100))

    needed = statistics.MINIMUM_SAMPLES[percent]
    assert chance(needed) <= 0.01 < chance(needed - 1)


@pytest.mark.parametrize(("percent", "enough"), [(50, 11), (90, 64), (99, 662)])
def test_a_percentile_below_its_samples_is_absent(percent: int, enough: int) -> None:
    assert statistics.percentile(np.arange(enough - 1), percent) is None
    assert statistics.percentile(np.arange(enough), percent) is not None


def test_latency_is_in_milliseconds_and_was_measured() -> None:
    samples = np.arange(1, 1001, dtype=np.int64) * 1_000_000
    found = statistics.latency(samples)
    assert (found.p50, found.p90, found.p99, found.max) == (500.0, 900.0, 990.0, 1000.0)
    assert found.samples == 1000


def test_latency_of_no_samples_has_no_figures() -> None:
    found = statistics.latency(np.empty(0, dtype=np.int64))
    assert (found.p50, found.p99, found.max, found.samples) == (None, None, None, 0)


def test_spread_keeps_the_order_and_gives_the_median() -> None:
    found = statistics.spread([10.0, 30.0, 20.0])
    assert found.values == (10.0, 30.0, 20.0)
    assert found.median == 20.0
    assert found.cv == pytest.approx(0.5)


def test_one_value_has_no_variation() -> None:
    assert statistics.spread([7.0]).cv is None


def test_the_median_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        statistics.median([])


def test_fewer_than_three_values_have_no_interval() -> None:
    assert statistics.median_interval([1.0, 2.0]) is None
    assert statistics.ratio_interval([1.0, 2.0, 3.0], [1.0, 2.0]) is None


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert statistics.median_interval([5.0, 5.0, 5.0]) == (5.0, 5.0)


@given(FIGURES)
def test_an_interval_holds_the_median_and_stays_in_the_samples(values: list[float]) -> None:
    found = statistics.median_interval(values)
    assert found is not None
    assert found.low <= statistics.median(values) <= found.high
    assert found.low == pytest.approx(max(found.low, min(values)))
    assert found.high == pytest.approx(min(found.high, max(values)))


def test_the_interval_is_scipys() -> None:
    values = np.random.default_rng(3).normal(100.0, 5.0, size=9)
    ours = statistics.median_interval(values.tolist())
    theirs = bootstrap(
        (values,), np.median, n_resamples=20000, method="percentile", rng=5
    ).confidence_interval
    assert ours is not None
    assert ours.low == pytest.approx(theirs.low, rel=0.005)
    assert ours.high == pytest.approx(theirs.high, rel=0.005)


def test_a_ratios_interval_is_scipys() -> None:
    rng = np.random.default_rng(4)
    above, below = rng.normal(110.0, 3.0, size=7), rng.normal(100.0, 3.0, size=5)

    def ratio(first: Any, second: Any, axis: int = -1) -> Any:
        return np.median(first, axis=axis) / np.median(second, axis=axis)

    ours = statistics.ratio_interval(above.tolist(), below.tolist())
    theirs = bootstrap(
        (above, below), ratio, n_resamples=20000, method="percentile", rng=5
    ).confidence_interval
    assert ours is not None
    assert ours.low == pytest.approx(theirs.low, rel=0.005)
    assert ours.high == pytest.approx(theirs.high, rel=0.005)


def test_the_same_samples_give_the_same_interval() -> None:
    values = [10.0, 10.4, 9.8, 10.1, 10.2]
    assert statistics.median_interval(values) == statistics.median_interval(values)


def test_the_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        found = statistics.median_interval(rng.normal(100.0, 5.0, size=15).tolist())
        assert found is not None
        covered += found.low <= 100.0 <= found.high
    assert 85 <= covered <= 100


def test_a_ratio_of_two_apart_samples_excludes_one() -> None:
    found = statistics.ratio_interval([120.0, 121.0, 119.0], [100.0, 101.0, 99.0])
    assert found is not None
    assert 1.17 < found.low < 1.2 < found.high < 1.23


@given(FIGURES)
def test_the_interval_lies_within_the_values_and_holds_their_median(values: list[float]) -> None:
    found = statistics.median_interval(values)
    assert found is not None
    assert min(values) <= found.low <= statistics.median(values) <= found.high <= max(values)
