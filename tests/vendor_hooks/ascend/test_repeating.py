"""How often a tool repeats its input: until its clock has counted as long as asked."""

from __future__ import annotations

import pytest

from vendor_hooks.ascend import repeating


def repeats_of(rates: list[float], min_seconds: float, most: int = 10**9) -> list[int]:
    """Return the repeats of each run of a tool that does ``rates`` repeats a second, run by run."""
    runs: list[int] = []

    def run(repeats: int) -> float:
        runs.append(repeats)
        return rates[min(len(runs), len(rates)) - 1]

    summary, repeats = repeating.long_enough(
        run, lambda rate, repeats: repeats / rate, min_seconds, lambda _rate: most
    )
    assert repeats == runs[-1]
    assert summary == rates[min(len(runs), len(rates)) - 1]
    return runs


def test_a_first_run_that_lasts_is_the_measurement() -> None:
    assert repeats_of([0.5], 2.0) == [1]


def test_a_second_run_lasts_with_some_to_spare() -> None:
    assert repeats_of([100.0], 60.0) == [1, 6600]


def test_a_run_sized_by_a_cold_device_is_repeated() -> None:
    cold, warm = 100.0, 400.0
    runs = repeats_of([cold, warm], 600.0)
    assert len(runs) == 3
    assert runs[-1] / warm >= 600.0


def test_it_ends_where_the_tool_would_take_too_long() -> None:
    assert repeats_of([100.0], 60.0, most=500) == [1, 500]


@pytest.mark.parametrize("most", [0, 1])
def test_one_run_is_always_made(most: int) -> None:
    assert repeats_of([100.0], 60.0, most=most) == [1]
