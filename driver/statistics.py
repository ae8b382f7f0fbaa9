"""Statistics of repeats and of samples: medians, intervals, percentiles that have enough samples."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from driver.models.result import Latency, Spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 4999
"""Bootstrap resamples; an odd count keeps the percentiles on drawn values."""
MINIMUM_REPEATS = 3
"""Fewer processes give no interval: two values resample to no more than three medians."""
SEED = 20240229
"""Fixed, so that the same samples give the same interval on every machine."""

MINIMUM_SAMPLES = {50: 11, 90: 64, 99: 662}
"""Samples that a percentile needs.

LoadGen's early stopping (MLPerf inference rules, "early stopping", one query allowed over the
limit): the smallest n for which a true rate above the percentile would show at most one such query
with a probability of 1 % or less, ``P(Binomial(n, 1 - p) <= 1) <= 0.01``. That is 64 for p90 and
662 for p99 at 99 % confidence.
"""


class Interval(NamedTuple):
    """A bootstrap 95 % interval, in the unit of its samples."""

    low: float
    high: float


def median(values: Sequence[float]) -> float:
    """Return the median of at least one value; raises ValueError for none."""
    import numpy as np

    if not len(values):
        raise ValueError("the median of no values")
    return float(np.median(np.asarray(values, dtype=np.float64)))


def spread(values: Sequence[float]) -> Spread:
    """Return repeats of one figure in fresh processes with their median and variation.

    ``cv`` is the sample standard deviation ÷ mean (a ratio), null for fewer than two values.
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    middle = median(values)
    mean = float(sample.mean())
    cv = float(sample.std(ddof=1)) / abs(mean) if sample.size > 1 and mean else None
    return Spread(values=tuple(float(value) for value in values), median=middle, cv=cv)


def median_interval(values: Sequence[float]) -> Interval | None:
    """Return the bootstrap 95 % interval of the median, or None for fewer than three values."""
    if len(values) >= MINIMUM_REPEATS and len(values) % 2:
        import numpy as np

        low, high = np.interp(_median_ranks(len(values)), range(len(values)), sorted(values))
        return Interval(float(low), float(high))
    return _interval(lambda rng: _resampled_medians(values, rng), median(values), (values,))


@cache
def _median_ranks(count: int) -> tuple[float, float]:
    """Return which of an odd number of sorted values bound the interval of their median.

    The median of an odd resample is one of the values, so the bootstrap of the ranks gives the bounds
    for whatever values: a report asks for thousands of them.
    """
    found = _interval(
        lambda rng: _resampled_medians(range(count), rng), count // 2, (range(count),)
    )
    assert found is not None
    return found


def ratio_interval(above: Sequence[float], below: Sequence[float]) -> Interval | None:
    """Return the bootstrap 95 % interval of median(above) ÷ median(below).

    The two samples are independent. None when either has fewer than three values.
    """

    def resampled(rng: np.random.Generator) -> NDArray[np.float64]:
        return _resampled_medians(above, rng) / _resampled_medians(below, rng)

    return _interval(resampled, median(above) / median(below), (above, below))


def _interval(
    resampled: Callable[[np.random.Generator], NDArray[np.float64]],
    estimate: float,
    samples: Sequence[Sequence[float]],
) -> Interval | None:
    """Return the percentile bootstrap interval around ``estimate``.

    The percentile method, since BCa is undefined for the few, often equal values that repeats give.
    ``scipy.stats.bootstrap`` gives the same (a test holds the two together); importing scipy.stats
    takes longer than a whole `make compare` may.
    """
    import numpy as np

    if any(len(sample) < MINIMUM_REPEATS for sample in samples):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled(np.random.default_rng(SEED)), (tail, 1 - tail))
    # Interpolation may leave the bounds a last digit inside an estimate that they coincide with.
    return Interval(min(float(low), estimate), max(float(high), estimate))


def _resampled_medians(values: Sequence[float], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the medians of RESAMPLES draws with replacement, shape [RESAMPLES]."""
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    drawn = sample[rng.integers(0, sample.size, size=(RESAMPLES, sample.size))]
    return np.asarray(np.median(drawn, axis=1))


def percentile(samples: NDArray[np.int64], percent: int) -> float | None:
    """Return the percentile in the samples' unit, or None where they are too few for it.

    ``samples`` has shape [N]. The value is one that was measured (inverted distribution function),
    never an interpolation between two.
    """
    import numpy as np

    if samples.size < MINIMUM_SAMPLES[percent]:
        return None
    return float(np.percentile(samples, percent, method="inverted_cdf"))


def latency(samples_ns: NDArray[np.int64]) -> Latency:
    """Return the latency figures in milliseconds from single calls in nanoseconds, shape [N]."""

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
