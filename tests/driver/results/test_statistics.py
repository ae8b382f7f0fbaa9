"""Medians, intervals and percentiles, and None where there are too few samples."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from driver.results import statistics

FIGURES = st.lists(st.floats(min_value=1e-3, max_value=1e6), min_size=3, max_size=9)


@pytest.mark.parametrize("percent", sorted(statistics.MINIMUM_SAMPLES))
def test_minimum_samples_are_those_of_loadgens_early_stopping(percent: int) -> None:
    def chance(samples: int) -> float:
        return float(scipy.stats.binom.cdf(1, samples, 1 - percent / 100))

    needed = statistics.MINIMUM_SAMPLES[percent]
    assert chance(needed) <= 0.01 < chance(needed - 1)


@pytest.mark.parametrize(("percent", "enough"), [(50, 11), (90, 64), (99, 662)])
def test_a_percentile_with_too_few_samples_is_none(percent: int, enough: int) -> None:
    assert statistics.percentile(np.arange(enough - 1), percent) is None
    assert statistics.percentile(np.arange(enough), percent) is not None


def test_latency_is_in_milliseconds_and_a_measured_value() -> None:
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


def test_a_figure_of_zero_has_no_interval() -> None:
    assert statistics.median_interval([0.0, 1.0, 2.0]) is None


def test_equal_values_have_an_interval_of_zero_width() -> None:
    assert statistics.median_interval([5.0, 5.0, 5.0]) == (5.0, 5.0)


@given(FIGURES)
def test_an_interval_contains_the_median(values: list[float]) -> None:
    found = statistics.median_interval(values)
    assert found is not None
    assert 0 < found.low <= statistics.median(values) <= found.high


def test_the_interval_of_three_values_is_that_of_students_t_on_logarithms() -> None:
    values = [98.0, 100.0, 103.0]
    logs = np.log(values)
    low, high = scipy.stats.t.interval(0.95, 2, loc=logs.mean(), scale=scipy.stats.sem(logs))
    assert statistics.median_interval(values) == pytest.approx((np.exp(low), np.exp(high)))


@pytest.mark.parametrize("count", range(6, 60))
def test_the_interval_of_many_values_is_that_of_the_sign_test(count: int) -> None:
    found = statistics.median_interval([float(value) for value in range(1, count + 1)])
    assert found is not None
    below = int(found.low) - 1
    outside = 2 * scipy.stats.binom.cdf(below, count, 0.5)
    assert outside <= 0.05 < 2 * scipy.stats.binom.cdf(below + 1, count, 0.5)
    assert found.high == count - below


def test_the_same_samples_give_the_same_interval() -> None:
    values = [10.0, 10.4, 9.8, 10.1, 10.2]
    assert statistics.median_interval(values) == statistics.median_interval(values)


@pytest.mark.parametrize("count", [3, 5, 9])
def test_the_interval_covers_the_true_median_in_95_percent(count: int) -> None:
    rng = np.random.default_rng(1)
    samples = np.exp(0.05 * rng.normal(size=(1000, count)))
    found = [statistics.median_interval(values) for values in samples.tolist()]
    covered = sum(one is not None and one.low <= 1 <= one.high for one in found)
    assert 930 <= covered <= 985
