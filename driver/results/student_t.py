"""Quantiles of Student's t distribution, for intervals from few values. Pure; standard library only.

scipy has the same function, but is too large for the driver (a test compares the two).
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

LARGE = 200
"""Degrees of freedom from which the normal quantile is used; at 97.5 % it is 0.6 % too small there."""
STEPS = 60
"""Bisections of the angle; each halves the error of at most π/2."""


def t_quantile(probability: float, degrees: float) -> float:
    """Return the quantile of Student's t for a probability of at least 0.5.

    ``degrees`` are the degrees of freedom, at least 1 and not necessarily whole (Welch-Satterthwaite).
    Between whole numbers the quantile is interpolated in 1 ÷ degrees, as printed tables are; the
    quantile is convex there, so the interpolated value errs on the wide side.
    """
    if degrees >= LARGE:
        return NormalDist().inv_cdf(probability)
    below = math.floor(degrees)
    near = _whole(probability, below)
    if degrees == below:
        return near
    next_one = _whole(probability, below + 1)
    share = (1 / below - 1 / degrees) / (1 / below - 1 / (below + 1))
    return near + share * (next_one - near)


@cache
def _whole(probability: float, degrees: int) -> float:
    """Return the quantile for a whole number of degrees, by bisection of the exact distribution."""
    low, high = 0.0, math.pi / 2
    for _ in range(STEPS):
        middle = (low + high) / 2
        if (1 + _central(middle, degrees)) / 2 < probability:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(low)


def _central(angle: float, degrees: int) -> float:
    """Return P(|t| <= tan(angle) × sqrt(degrees)) in closed form.

    Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.3 (odd) and 26.7.4 (even).
    """
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0
    for power in range(2 + odd, degrees + 1, 2):
        total += term
        term *= cosine * cosine * (power - 1) / power
    if not odd:
        return sine * total
    return 2 / math.pi * (angle + sine * total)
