"""Statistics of repeats and samples: medians, intervals, and percentiles with enough samples."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from driver.models.result import Latency, Spread
from driver.results.student_t import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
MINIMUM_REPEATS = 3
"""Fewer processes give no interval: Student's t of two values is too wide to say anything."""
ORDER_FROM = 6
"""From so many values on, two of them bound the median with 95 % confidence, whatever the distribution."""

MINIMUM_SAMPLES = {50: 11, 90: 64, 99: 662}
"""Samples that each percentile needs.

From LoadGen's early stopping (MLPerf inference rules) with one query over the limit allowed: the
smallest n with ``P(Binomial(n, 1 - p) <= 1) <= 0.01``, which is 64 for p90 and 662 for p99 at 99 %
confidence.
"""


class Interval(NamedTuple):
    """A 95 % interval, in the unit of its samples."""

    low: float
    high: float


def median(values: Sequence[float]) -> float:
    """Return the median. Raises ValueError if there are no values."""
    import numpy as np

    if not len(values):
        raise ValueError("the median of no values")
    return float(np.median(np.asarray(values, dtype=np.float64)))


def spread(values: Sequence[float]) -> Spread:
    """Return the values of one figure, one per process, with their median and variation.

    ``cv`` is the sample standard deviation ÷ mean (a ratio), None for fewer than two values.
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    middle = median(values)
    mean = float(sample.mean())
    cv = float(sample.std(ddof=1)) / abs(mean) if sample.size > 1 and mean else None
    return Spread(values=tuple(float(value) for value in values), median=middle, cv=cv)


def median_interval(values: Sequence[float]) -> Interval | None:
    """Return the 95 % interval of the median, or None for fewer than three values or one of 0 or less.

    Three to five values: Student's t on their logarithms, which may reach beyond the values (a bootstrap
    cannot, and covers 76 % with three). Six and more: two of the values, by their ranks, which assumes
    no distribution (the sign test).
    """
    ordered, count = sorted(values), len(values)
    if count < MINIMUM_REPEATS or ordered[0] <= 0:
        return None
    if count >= ORDER_FROM:
        rank = _rank(count)
        return Interval(float(ordered[rank]), float(ordered[-1 - rank]))
    half = count // 2
    middle = float(ordered[half] if count % 2 else (ordered[half - 1] + ordered[half]) / 2)
    if ordered[0] == ordered[-1]:
        return Interval(middle, middle)
    logs = [math.log(value) for value in values]
    centre = math.fsum(logs) / count
    # Exactly summed, as `stdev` does with fractions, which takes ten times as long.
    variance = math.fsum([(value - centre) ** 2 for value in logs]) / (count - 1)
    reach = _quantile(count) * math.sqrt(variance / count)
    # Of skewed values the median is not the mean.
    try:
        low, high = math.exp(centre - reach), math.exp(centre + reach)
    except OverflowError:
        # Values that differ by hundreds of orders of magnitude are no repeats of one figure.
        return None
    return Interval(min(low, middle), max(high, middle))


@cache
def _quantile(count: int) -> float:
    return t_quantile((1 + CONFIDENCE) / 2, count - 1)


@cache
def _rank(count: int) -> int:
    """Return the largest r with P(the median is outside the r-th smallest and largest values) <= 5 %.

    Ranks count from 0. The number of values below the median is Binomial(count, 1/2).
    """
    outside, rank = 0.0, -1
    while outside <= (1 - CONFIDENCE) / 2:
        rank += 1
        outside += math.comb(count, rank) / 2**count
    return rank - 1


def percentile(samples: NDArray[np.int64], percent: int) -> float | None:
    """Return the percentile in the unit of the samples, or None if there are too few samples.

    ``samples`` has shape [N]. The value is a measured one (inverted distribution function), never an
    interpolation.
    """
    import numpy as np

    if samples.size < MINIMUM_SAMPLES[percent]:
        return None
    return float(np.percentile(samples, percent, method="inverted_cdf"))


def latency(samples_ns: NDArray[np.int64]) -> Latency:
    """Return the latency figures in ms of single calls in ns, shape [N]."""

    def milliseconds(percent: int) -> float | None:
        value = percentile(samples_ns, percent)
        return None if value is None else value / 1e6

    return Latency(
        p50=milliseconds(50),
        p90=milliseconds(90),
        p99=milliseconds(99),
        max=float(samples_ns.max()) / 1e6 if samples_ns.size else None,
        samples=int(samples_ns.size),
    )
