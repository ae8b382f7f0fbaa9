"""Figures of a window: peaks, means, and energy over exactly the window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.monitors.reading import Reading
from driver.monitors.window import Sample, energy_j, summarise

SECOND = 1_000_000_000


def samples(*powers: float | None, step_s: float = 1.0) -> list[Sample]:
    return [
        Sample(at_ns=round(i * step_s * SECOND), readings=(Reading(device="0", power_w=power),))
        for i, power in enumerate(powers)
    ]


def test_constant_power_gives_power_times_time_of_the_exact_window() -> None:
    assert energy_j(samples(*[100.0] * 11), 2_500_000_000, 7_250_000_000, 1.0) == 475.0


def test_ends_between_samples_are_interpolated() -> None:
    ramp = samples(*[10.0 * i for i in range(11)])
    # ∫ 10 t dt from 2.5 to 7.5
    assert energy_j(ramp, 2_500_000_000, 7_500_000_000, 1.0) == pytest.approx(250.0)


@given(st.floats(1, 500), st.floats(0, 50), st.integers(0, 9 * SECOND), st.integers(1, 9 * SECOND))
def test_linear_power_is_integrated_exactly(a: float, b: float, start: int, length: int) -> None:
    end = min(start + length, 10 * SECOND)
    line = samples(*[a + b * i for i in range(11)])
    t0, t1 = start / SECOND, end / SECOND
    exact = a * (t1 - t0) + b * (t1**2 - t0**2) / 2
    assert energy_j(line, start, end, 1.0) == pytest.approx(exact, rel=1e-9, abs=1e-6)


@given(st.lists(st.floats(0, 1000), min_size=4, max_size=30), st.data())
def test_energy_of_two_halves_is_the_energy_of_the_whole(
    powers: list[float], data: st.DataObject
) -> None:
    end = (len(powers) - 1) * SECOND
    middle = data.draw(st.integers(1, end - 1))
    whole = energy_j(samples(*powers), 0, end, 1.0)
    first = energy_j(samples(*powers), 0, middle, 1.0)
    second = energy_j(samples(*powers), middle, end, 1.0)
    assert whole is not None
    assert first is not None
    assert second is not None
    assert first + second == pytest.approx(whole, rel=1e-9, abs=1e-9)


def test_power_is_held_for_one_interval_beyond_the_samples_and_no_more() -> None:
    known = samples(50.0, 50.0, 50.0)
    assert energy_j(known, 0, 3 * SECOND, 1.0) == pytest.approx(150.0)
    assert energy_j(known, 0, 3 * SECOND + 1, 1.0) is None


def test_gap_in_the_window_makes_energy_unknown() -> None:
    there = [s for s in samples(*[50.0] * 20) if not 4 * SECOND < s.at_ns < 12 * SECOND]
    assert energy_j(there, 0, 19 * SECOND, 1.0) is None
    assert energy_j(there, 12 * SECOND, 19 * SECOND, 1.0) == pytest.approx(350.0)


def test_no_power_no_energy() -> None:
    assert energy_j(samples(None, None, None), 0, 2 * SECOND, 1.0) is None
    assert energy_j([], 0, SECOND, 1.0) is None
    assert energy_j(samples(5.0, 5.0), SECOND, SECOND, 1.0) is None


def test_counter_of_the_device_goes_before_the_trapezoid() -> None:
    rows = [
        Sample(at_ns=i * SECOND, readings=(Reading(device="0", power_w=1.0, energy_j=70.0 * i),))
        for i in range(5)
    ]
    assert energy_j(rows, SECOND, 3_500_000_000, 1.0) == pytest.approx(175.0)


def counted(*joules: float, power_w: float | None = None) -> list[Sample]:
    return [
        Sample(at_ns=i * SECOND, readings=(Reading(device="0", energy_j=value, power_w=power_w),))
        for i, value in enumerate(joules)
    ]


def test_a_counter_is_not_held_beyond_its_samples() -> None:
    half = SECOND // 2
    assert energy_j(counted(500.0), -half, half, 1.0) is None, "one sample: nothing, not 0 J"
    assert energy_j(counted(0.0, 70.0), 0, SECOND + half, 1.0) is None
    both = counted(0.0, 70.0, power_w=80.0)
    assert energy_j(both, 0, SECOND + half, 1.0) == pytest.approx(120.0), "by its power"


def test_a_counter_that_was_reset_gives_no_energy() -> None:
    assert energy_j(counted(900.0, 970.0, 5.0, 75.0), 0, 3 * SECOND, 1.0) is None
    assert energy_j(counted(900.0, 5.0, 75.0, 145.0), SECOND, 3 * SECOND, 1.0) == 140.0


def test_summary_takes_peaks_and_means_inside_the_window_and_sums_devices() -> None:
    rows = [
        Sample(
            at_ns=i * SECOND,
            readings=tuple(
                Reading(
                    device=str(device), memory_used_bytes=100 * i, memory_total_bytes=1000,
                    power_w=50.0, temperature_c=40.0 + i, utilisation_percent=10.0 * i,
                    clock_mhz=1400.0 - 100 * i,
                )
                for device in (0, 1)
            ),
        )
        for i in range(6)
    ]  # fmt: skip
    window = summarise(rows, SECOND, 3 * SECOND, 1.0)
    assert window.samples == 3
    assert window.memory_peak_bytes == 600
    assert window.memory_total_bytes == 2000
    assert window.energy_j == pytest.approx(200.0)
    assert window.power_mean_w == pytest.approx(100.0)
    assert window.temperature_max_c == 43.0
    assert window.utilisation_mean_percent == pytest.approx(20.0)
    assert (window.clock_mean_mhz, window.clock_min_mhz) == (1200.0, 1100.0)


def test_window_without_samples_is_unknown_not_zero() -> None:
    window = summarise([], 0, SECOND, 1.0)
    assert window.samples == 0
    assert {v for k, v in vars(window).items() if k not in ("samples", "wall_s")} == {None}
