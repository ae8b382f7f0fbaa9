"""Slow drift within a loop: a trend test over all of its calls, not two windows. Pure.

The Mann-Kendall test (H. B. Mann, Econometrica 13, 1945) asks whether later blocks tend to be faster or
slower, whatever the distribution of the noise. Noise that lasts longer than a block looks like a trend, so
the variance is corrected for it (K. H. Hamed, A. R. Rao, J. Hydrology 204, 1998), as a first-order
autoregression of the blocks (S. Yue, C. Wang, Water Resources Management 18, 2004). The size of the change
is the slope of P. K. Sen (J. Am. Stat. Assoc. 63, 1968).

A curved drift with little noise, such as a chip that warms up, looks like noise that lasts: what the line
leaves of it is smooth. A sign test of the steps from block to block finds it, since even in a random walk
each step is as likely to go up as down.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

BLOCKS = 20
"""Parts of a loop: enough for a test at 0.2 %, few enough to outlast what lasts for seconds."""
FEWEST_BLOCKS = 10
"""With fewer no order of the blocks is significant at LEVEL."""
GROUPS_PER_BLOCK = 5
"""With fewer groups of calls a single one would decide a block."""
MOST_CORRELATED = 0.95
"""The largest correlation of neighbouring blocks that is assumed; at 1 nothing could be a trend."""
LEVEL = 0.0005
"""Significance of a job, shared by its processes (Bonferroni).

Smaller than the 1 % of false alarms that are allowed, since noise that lasts for a tenth of the loop is
only partly corrected for: `make bench CASE=compare` has the shares.
"""
SMALLEST = 0.02
"""The smallest change that is reported, as a share of the loop's speed; `compare` counts no less."""


class Trend(NamedTuple):
    """A monotonic trend: the change from first to last block as a share, and the smaller p-value of two tests."""

    change: float
    p_value: float


def block_rates(samples_ns: NDArray[np.int64], in_flight: int) -> tuple[float, ...] | None:
    """Return the calls per second in each of up to BLOCKS parts of a loop, or None for too few calls.

    ``samples_ns`` has shape [N], the times between completions. With several batches in flight they come
    in bursts, so ``in_flight`` neighbouring ones are added up; a block has the median of these sums, which
    single slow calls do not move.
    """
    import numpy as np

    groups = samples_ns.size // in_flight
    blocks = min(BLOCKS, groups // GROUPS_PER_BLOCK)
    if samples_ns.ndim != 1 or blocks < FEWEST_BLOCKS:
        return None
    sums = samples_ns[: groups * in_flight].reshape(groups, in_flight).sum(axis=1)
    medians = [float(np.median(part)) for part in np.array_split(sums, blocks)]
    if min(medians) <= 0:
        return None
    return tuple(in_flight / middle * 1e9 for middle in medians)


def trend(rates: Sequence[float]) -> Trend:
    """Return the trend of a loop's block rates, three or more, all above 0."""
    import numpy as np

    values = np.asarray(rates, dtype=np.float64)
    change = _slope(values) * (values.size - 1) / float(np.median(values))
    return Trend(change, min(mann_kendall(rates), _sign_test(np.diff(values))))


def mann_kendall(rates: Sequence[float]) -> float:
    """Return the two-sided p-value of the corrected Mann-Kendall test: never below the plain test's."""
    import numpy as np

    values = np.asarray(rates, dtype=np.float64)
    first, second = np.triu_indices(values.size, 1)
    score = float(np.sign(values[second] - values[first]).sum())
    detrended = values - _slope(values) * np.arange(values.size)
    spread = _variance(values) * _correction(detrended)
    if not spread:
        return 1.0
    z = max(abs(score) - 1, 0.0) / math.sqrt(spread)
    return 2 * NormalDist().cdf(-z)


def _slope(values: NDArray[np.float64]) -> float:
    """Return Sen's slope, the median of those of all pairs of blocks."""
    import numpy as np

    first, second = np.triu_indices(values.size, 1)
    return float(np.median((values[second] - values[first]) / (second - first)))


def drifts(loops: Sequence[Sequence[float] | None]) -> list[float | None]:
    """Return the change of each process's loop, None where there is no drift to report.

    A drift is significant at LEVEL ÷ processes and at least SMALLEST.
    """
    found = [None if rates is None else trend(rates) for rates in loops]
    level = LEVEL / max(1, len(found))
    return [
        one.change if one and one.p_value <= level and abs(one.change) >= SMALLEST else None
        for one in found
    ]


def _sign_test(steps: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of so many steps in one direction; steps of 0 count for neither."""
    rises, falls = int((steps > 0).sum()), int((steps < 0).sum())
    count, most = rises + falls, max(rises, falls)
    if not count:
        return 1.0
    beyond = sum(math.comb(count, number) for number in range(most, count + 1))
    return min(1.0, math.ldexp(beyond, 1 - count))


def _variance(values: NDArray[np.float64]) -> float:
    """Return the variance of the Mann-Kendall score without a trend, corrected for ties."""
    import numpy as np

    def term(count: float) -> float:
        return count * (count - 1) * (2 * count + 5)

    _, ties = np.unique(values, return_counts=True)
    return (term(values.size) - sum(term(float(tie)) for tie in ties)) / 18


def _correction(detrended: NDArray[np.float64]) -> float:
    """Return the factor by which autocorrelation of the ranks widens the score's variance, at least 1.

    The correlation of neighbours is that of a first-order autoregression, without the bias that removing
    a line from few values gives it: −(2 + 4ρ) ÷ n (F. Marriott, J. Pope, Biometrika 41, 1954).
    """
    import numpy as np

    count = detrended.size
    ordered = np.sort(detrended)
    ranks = np.searchsorted(ordered, detrended) + np.searchsorted(ordered, detrended, "right")
    ranks = ranks - ranks.mean()
    power = float((ranks * ranks).sum())
    if not power:
        return 1.0
    seen = float((ranks[:-1] * ranks[1:]).sum()) / power
    neighbours = min(max(seen + (2 + 4 * seen) / count, 0.0), MOST_CORRELATED)
    lags = np.arange(1, count - 2)
    weights = (count - lags) * (count - lags - 1) * (count - lags - 2)
    total = float((weights * neighbours**lags).sum())
    return 1 + 2 / (count * (count - 1) * (count - 2)) * total
