"""Quantiles of Student's t equal scipy's, and are never too small between whole degrees of freedom."""

from __future__ import annotations

import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from driver.results.student_t import LARGE, t_quantile


@pytest.mark.parametrize("probability", [0.5, 0.8, 0.975, 0.995])
@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 10, 31, 120, LARGE - 1])
def test_a_quantile_is_scipys(probability: float, degrees: int) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(
        scipy.stats.t.ppf(probability, degrees), abs=1e-9
    )


@given(st.floats(min_value=2, max_value=LARGE - 1))
def test_between_whole_degrees_a_quantile_errs_on_the_wide_side(degrees: float) -> None:
    exact = float(scipy.stats.t.ppf(0.975, degrees))
    assert exact - 1e-9 <= t_quantile(0.975, degrees) <= 1.02 * exact


@pytest.mark.parametrize("degrees", [float(LARGE), 1e9, float("inf")])
def test_many_degrees_have_the_normal_quantile(degrees: float) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), rel=0.007)
