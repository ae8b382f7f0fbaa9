"""Slow drift within a loop: found, sized, and not seen in noise; against scipy's Kendall test."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from driver.models.base import WarningCode
from driver.results import warnings
from driver.results.trend import (
    BLOCKS,
    FEWEST_BLOCKS,
    GROUPS_PER_BLOCK,
    LEVEL,
    block_rates,
    drifts,
    mann_kendall,
    trend,
)

RATES = st.lists(st.floats(min_value=1.0, max_value=1e4), min_size=FEWEST_BLOCKS, max_size=BLOCKS)


def loop(change: float = 0.0, *, noise: float = 0.02, seed: int = 1) -> list[float]:
    """Return block rates that lose the share ``change`` from first to last."""
    rng = np.random.default_rng(seed)
    rates = 100 * np.linspace(1, 1 - change, BLOCKS) * np.exp(noise * rng.normal(size=BLOCKS))
    return [float(rate) for rate in rates]


def test_a_steady_loss_is_found_with_its_size() -> None:
    found = trend(loop(0.2, noise=0.005))
    assert found.change == pytest.approx(-0.22, abs=0.02), "of the median, which is 90"
    assert found.p_value < 1e-6


@pytest.mark.parametrize("power", [0.3, 1.0, 3.0])
def test_a_smooth_drift_is_found_however_it_is_curved(power: float) -> None:
    shares = np.linspace(0, 1, BLOCKS) ** power
    assert drifts([[float(100 * (1 - 0.1 * share)) for share in shares]] * 3) != [None] * 3


def test_noise_has_no_drift() -> None:
    assert drifts([loop(seed=seed) for seed in range(3)]) == [None, None, None]


def test_only_the_process_that_drifts_is_named() -> None:
    first, second, third = drifts([loop(), loop(0.1, noise=0.005), None])
    assert (first, third) == (None, None)
    assert second == pytest.approx(-0.105, abs=0.01)


def test_a_change_below_2_percent_does_not_count() -> None:
    assert drifts([loop(0.01, noise=0.0001)]) == [None]
    assert drifts([loop(0.03, noise=0.0001)]) != [None]


def test_noise_that_outlasts_a_block_is_less_of_a_trend() -> None:
    slow = [100.0 + 5 * np.sin(2 * np.pi * (place / BLOCKS - 0.25)) for place in range(BLOCKS)]
    half = slow[: BLOCKS // 2]
    assert trend(half).p_value > 1e-4, "half a period rises all the time, and 10 blocks are few"
    assert drifts([slow]) == [None]


@given(RATES)
def test_the_test_is_never_more_certain_than_kendalls(rates: list[float]) -> None:
    if len(set(rates)) < len(rates):
        return
    kendall = scipy.stats.kendalltau(range(len(rates)), rates, method="asymptotic")
    assert mann_kendall(rates) >= kendall.pvalue * (1 - 1e-9)
    assert trend(rates).change * kendall.statistic >= 0 or abs(kendall.statistic) < 0.3


@given(RATES)
def test_a_loop_backwards_has_the_opposite_change(rates: list[float]) -> None:
    assert trend(rates).change == pytest.approx(-trend(rates[::-1]).change)


def test_equal_blocks_have_no_trend() -> None:
    assert trend([100.0] * BLOCKS) == (0.0, 1.0)


def test_too_few_calls_have_no_blocks() -> None:
    enough = FEWEST_BLOCKS * GROUPS_PER_BLOCK
    assert block_rates(np.full(enough - 1, 1_000_000), 1) is None
    assert block_rates(np.full(enough, 1_000_000), 2) is None
    rates = block_rates(np.full(enough, 1_000_000), 1)
    assert rates == (1000.0,) * FEWEST_BLOCKS


def test_bursts_of_batches_in_flight_are_added_up() -> None:
    samples = np.tile(np.array([1_000, 1_999_000], dtype=np.int64), 500)
    assert block_rates(samples, 2) == (1000.0,) * BLOCKS


def test_single_slow_calls_do_not_move_a_block() -> None:
    samples = np.full(1000, 1_000_000, dtype=np.int64)
    samples[::50] = 900_000_000
    assert block_rates(samples, 1) == (1000.0,) * BLOCKS


@pytest.mark.parametrize("value", [0, -1])
def test_times_that_no_clock_gives_have_no_blocks(value: int) -> None:
    assert block_rates(np.full(1000, value, dtype=np.int64), 1) is None


def test_the_warning_names_the_processes_and_the_size() -> None:
    found = warnings.drift([None, -0.042, 0.03])
    assert found is not None
    assert found.code is WarningCode.DRIFT
    assert "fell by 4.2% in process 2" in found.message
    assert "rose by 3.0% in process 3 of 3" in found.message
    assert warnings.drift([None, None]) is None


def test_the_level_is_shared_by_the_processes() -> None:
    """Ten processes have ten chances of a false alarm; together they get the level of one."""
    loops = (loop(0.03, noise=0.01, seed=seed) for seed in range(500))
    between = next(one for one in loops if LEVEL / 10 < trend(one).p_value <= LEVEL)
    assert drifts([between]) != [None]
    assert drifts([between] + [None] * 9) == [None] * 10
