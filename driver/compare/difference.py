"""How far apart two sides are: the interval of their ratio, what it can show, what more would. Pure.

Speeds are compared as logarithms, so that a difference is a share and A against B is B against A.
Methods: Welch's t interval with Satterthwaite's degrees of freedom; sessions as the unit where there are
enough of them (T. Kalibera, R. Jones: Rigorous Benchmarking in Reasonable Time, ISMM 2013); a paired
t interval where the two were measured in turns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain
from statistics import fmean, stdev, variance
from typing import TYPE_CHECKING

from driver.results.statistics import CONFIDENCE, Interval
from driver.results.student_t import t_quantile
from driver.results.warnings import UNSTABLE_CV

if TYPE_CHECKING:
    from collections.abc import Sequence

    Sessions = Sequence[Sequence[float]]

DRIFT = 0.01
"""Assumed standard deviation between sessions of one job on one machine, as a share of its speed.

One session has no evidence of it, and sessions of one day share the day's; so it is never averaged away.
"""
DRIFT_DEGREES = 30
"""Degrees of freedom of DRIFT: nobody knows it better than 30 sessions would show it."""
FEWEST = 3
"""Processes, or sessions, from which their own variation is used."""
NOISE = UNSTABLE_CV
"""Assumed variation between processes of a side with fewer; up to here a job is not `unstable`."""
POWER = 0.80
"""Chance with which a difference that "can be shown" is shown."""
MOST = 100
"""More processes or rounds than this are never suggested."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A cause of uncertainty: the variance of one value, averaged over ``count`` values.

    ``degrees`` are those of the estimate, infinite for an assumed variance. ``fixed`` says that more
    values do not make it smaller.
    """

    variance: float
    count: int = 1
    degrees: float = math.inf
    fixed: bool = False

    @property
    def of_mean(self) -> float:
        """Return the variance of the mean."""
        return self.variance / self.count

    def with_more(self, values: int) -> Part:
        """Return the part as it should be after ``values`` more."""
        if self.fixed:
            return self
        known = self.degrees if math.isfinite(self.degrees) else self.count - 1
        degrees = known + values if known + values >= FEWEST - 1 else math.inf
        return replace(self, count=self.count + values, degrees=degrees)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """mean(log B) − mean(log A), and the parts of its uncertainty."""

    mean: float
    parts: tuple[Part, ...]

    @property
    def standard_error(self) -> float:
        """Return the standard error of ``mean``."""
        return math.sqrt(sum(part.of_mean for part in self.parts))

    @property
    def degrees(self) -> float:
        """Return Satterthwaite's degrees of freedom."""
        spread = sum(part.of_mean**2 / part.degrees for part in self.parts)
        return sum(part.of_mean for part in self.parts) ** 2 / spread if spread else math.inf

    def interval(self) -> Interval:
        """Return the 95 % interval of B ÷ A."""
        reach = t_quantile((1 + CONFIDENCE) / 2, self.degrees) * self.standard_error
        return Interval(math.exp(self.mean - reach), math.exp(self.mean + reach))

    def shows(self) -> float:
        """Return the smallest difference, as a share, that is found with a chance of POWER."""
        degrees = self.degrees
        reach = t_quantile((1 + CONFIDENCE) / 2, degrees) + t_quantile(POWER, degrees)
        return math.expm1(reach * self.standard_error)

    def more(self, wanted: float) -> int | None:
        """Return how many more processes of each side can show the share ``wanted``, or None."""
        for values in range(1, MOST + 1):
            parts = tuple(part.with_more(values) for part in self.parts)
            if replace(self, parts=parts).shows() <= wanted:
                return values
        return None

    def rounds(self, wanted: float) -> int | None:
        """Return how many rounds, measured in turns, can show the share ``wanted``, or None."""
        of_round = sum(part.variance for part in self.parts if not part.fixed)
        for count in range(FEWEST, MOST + 1):
            part = Part(variance=of_round, count=count, degrees=count - 1)
            if Difference(mean=0.0, parts=(part,)).shows() <= wanted:
                return count
        return None


def independent(a: Sessions, b: Sessions) -> Difference:
    """Return the difference of two sides measured at different times.

    Each side has sessions (results), each session the speeds of its processes in items/s, all above 0.
    """
    logs_a, logs_b = _logs(a), _logs(b)
    return Difference(
        mean=_middle(logs_b) - _middle(logs_a), parts=(*_parts(logs_a), *_parts(logs_b))
    )


def in_turns(a: Sessions, b: Sessions) -> Difference:
    """Return the difference of two sides measured in turns, session n of A next to session n of B.

    Drift that is slower than a round is in both and cancels. Needs as many sessions of A as of B.
    """
    pairs = zip(_logs(a), _logs(b), strict=True)
    apart = [fmean(of_b) - fmean(of_a) for of_a, of_b in pairs]
    count = len(apart)
    if count < FEWEST:
        return Difference(mean=fmean(apart), parts=(Part(variance=2 * NOISE**2, count=count),))
    part = Part(variance=variance(apart), count=count, degrees=count - 1)
    return Difference(mean=fmean(apart), parts=(part,))


def _logs(sessions: Sessions) -> list[list[float]]:
    return [[math.log(value) for value in session] for session in sessions if session]


def _middle(logs: Sessions) -> float:
    """Return the mean: of the sessions where they are the unit, else of all processes."""
    if len(logs) >= FEWEST:
        return fmean(fmean(session) for session in logs)
    return fmean(chain.from_iterable(logs))


def _parts(logs: Sessions) -> tuple[Part, Part]:
    """Return the drift between sessions, and the variation that the side itself shows."""
    drift = Part(variance=DRIFT**2, degrees=DRIFT_DEGREES, fixed=True)
    if len(logs) >= FEWEST:
        means = [fmean(session) for session in logs]
        return drift, Part(variance=variance(means), count=len(means), degrees=len(means) - 1)
    count = sum(map(len, logs))
    degrees = count - len(logs)
    if degrees < FEWEST - 1:
        return drift, Part(variance=max(NOISE, _seen(logs)) ** 2, count=count)
    squares = sum((len(session) - 1) * _variance(session) for session in logs)
    return drift, Part(variance=squares / degrees, count=count, degrees=degrees)


def _variance(session: Sequence[float]) -> float:
    return variance(session) if len(session) > 1 else 0.0


def _seen(logs: Sessions) -> float:
    """Return the standard deviation of all processes, 0 for a single one."""
    values = list(chain.from_iterable(logs))
    return stdev(values) if len(values) > 1 else 0.0
