"""Computes a time window's figures from samples: peak memory, mean power, energy, and so on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driver.monitors.reading import Reading

# Power is unknown between samples further apart than this many intervals, and more than one interval
# before the first or after the last sample. So is the energy of a window with such a gap.
GAP_INTERVALS = 5.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The selected devices at one time of ``time.monotonic_ns``."""

    at_ns: int
    readings: tuple[Reading, ...]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A monitor's figures over a window, summed over the devices; None where unknown."""

    samples: int
    wall_s: float
    memory_peak_bytes: int | None
    memory_total_bytes: int | None
    power_mean_w: float | None
    power_max_w: float | None
    energy_j: float | None
    temperature_max_c: float | None
    utilisation_mean_percent: float | None
    clock_mean_mhz: float | None
    clock_min_mhz: float | None


def summarise(samples: Sequence[Sample], start_ns: int, end_ns: int, interval_s: float) -> Window:
    """Return the figures of ``[start_ns, end_ns]``; ``samples`` are in time order."""
    inside = [sample for sample in samples if start_ns <= sample.at_ns <= end_ns]
    wall_s = max(0, end_ns - start_ns) / 1e9
    energy = energy_j(samples, start_ns, end_ns, interval_s)
    powers = _values(inside, lambda reading: reading.power_w)
    clocks = _each(inside, lambda reading: reading.clock_mhz)
    memories = _values(inside, lambda reading: reading.memory_used_bytes)
    totals = _values(inside, lambda reading: reading.memory_total_bytes)
    mean = energy / wall_s if energy is not None and wall_s > 0 else _mean(powers)
    return Window(
        samples=len(inside),
        wall_s=wall_s,
        memory_peak_bytes=round(max(memories)) if memories else None,
        memory_total_bytes=round(max(totals)) if totals else None,
        power_mean_w=mean,
        power_max_w=max(powers, default=None),
        energy_j=energy,
        temperature_max_c=max(_each(inside, lambda reading: reading.temperature_c), default=None),
        utilisation_mean_percent=_mean(_each(inside, lambda r: r.utilisation_percent)),
        clock_mean_mhz=_mean(clocks),
        clock_min_mhz=min(clocks, default=None),
    )


def energy_j(
    samples: Sequence[Sample], start_ns: int, end_ns: int, interval_s: float
) -> float | None:
    """Return the energy of exactly ``[start_ns, end_ns]``, in joules.

    A device's own counter is interpolated linearly at both ends, so samples must enclose the window:
    an extrapolated counter would mean no consumption. Without a counter, power is integrated by
    trapezoids, interpolated at the ends or held for at most one interval beyond the samples. None
    where the samples do not cover the window, or a counter was reset.
    """
    if end_ns <= start_ns:
        return None
    counter = totals(samples, lambda reading: reading.energy_j)
    reaches = counter and counter[0][0] <= start_ns and counter[-1][0] >= end_ns
    if reaches and _covers(counter, start_ns, end_ns, interval_s):
        return _counted(counter, start_ns, end_ns)
    power = totals(samples, lambda reading: reading.power_w)
    if not _covers(power, start_ns, end_ns, interval_s):
        return None
    inner = [point for point in power if start_ns < point[0] < end_ns]
    line = [(start_ns, _at(power, start_ns)), *inner, (end_ns, _at(power, end_ns))]
    areas = ((t1 - t0) * (w0 + w1) / 2 for (t0, w0), (t1, w1) in itertools.pairwise(line))
    return sum(areas) / 1e9


def _counted(counter: list[_Point], start_ns: int, end_ns: int) -> float | None:
    """Return a counter's increase; None if it fell (driver reloaded, or overflow)."""
    steps = itertools.pairwise(counter)
    if any(v1 < v0 for (t0, v0), (t1, v1) in steps if t1 > start_ns and t0 < end_ns):
        return None
    return _at(counter, end_ns) - _at(counter, start_ns)


_Point = tuple[int, float]


def totals(
    samples: Sequence[Sample], figure: Callable[[Reading], float | int | None]
) -> list[_Point]:
    """Return (time, sum over devices) of the samples in which every device has the figure."""
    rows = ((sample.at_ns, [figure(reading) for reading in sample.readings]) for sample in samples)
    return [
        (at_ns, float(sum(v for v in values if v is not None)))
        for at_ns, values in rows
        if values and None not in values
    ]


def _covers(points: list[_Point], start_ns: int, end_ns: int, interval_s: float) -> bool:
    if not points:
        return False
    reach_ns = 1e9 * interval_s
    if points[0][0] > start_ns + reach_ns or points[-1][0] < end_ns - reach_ns:
        return False
    times = [at for at, _ in points]
    steps = [(a, b) for a, b in itertools.pairwise(times) if b > start_ns and a < end_ns]
    return all(b - a <= GAP_INTERVALS * reach_ns for a, b in steps)


def _at(points: list[_Point], at_ns: int) -> float:
    """Return the value at ``at_ns``: linear between points, constant beyond the first and last."""
    if at_ns <= points[0][0]:
        return points[0][1]
    for (t0, v0), (t1, v1) in itertools.pairwise(points):
        if at_ns <= t1:
            return v0 + (v1 - v0) * (at_ns - t0) / (t1 - t0) if t1 > t0 else v1
    return points[-1][1]


def _values(
    samples: Sequence[Sample], figure: Callable[[Reading], float | int | None]
) -> list[float]:
    return [value for _, value in totals(samples, figure)]


def _each(samples: Sequence[Sample], figure: Callable[[Reading], float | None]) -> list[float]:
    values = (figure(reading) for sample in samples for reading in sample.readings)
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
