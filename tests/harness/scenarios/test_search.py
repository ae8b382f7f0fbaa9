"""The search of the highest rate: a bisection, which knows it within its precision and gives up in time."""

from __future__ import annotations

import pytest

from tests.harness.modules import search


def probing(capacity: float) -> tuple[list[float], object]:
    """Return the rates that were asked for, and a probe of a server that keeps its bound up to ``capacity``."""
    asked: list[float] = []

    def probe(rate: float) -> object:
        asked.append(rate)
        return search.Probe(rate, int(1e6 * rate), rate <= capacity)

    return asked, probe


@pytest.mark.parametrize("capacity", [3.0, 37.0, 50.0, 99.0])
def test_the_highest_rate_is_known_within_the_precision(capacity: float) -> None:
    _, probe = probing(capacity)
    found = search.best(search.highest_rate(probe, 100.0, 1.0))
    assert found is not None
    assert capacity * (1 - 2 * search.PRECISION) <= found.rate <= capacity


def test_a_handful_of_runs_is_enough() -> None:
    asked, probe = probing(63.0)
    search.highest_rate(probe, 100.0, 1.0)
    assert len(asked) <= 6


def test_no_rate_above_the_engines_own_is_tried() -> None:
    asked, probe = probing(1e9)
    search.highest_rate(probe, 100.0, 1.0)
    assert max(asked) < 100.0


def test_a_bound_that_no_rate_keeps_ends_the_search_soon() -> None:
    asked, probe = probing(0.0)
    tried = search.highest_rate(probe, 100.0, 3.0)
    assert search.best(tried) is None
    assert asked == [50.0, 25.0, 12.5, 6.25, 3.125]
