"""Which of two sides is faster, what their processes can show, and how many more would decide. Pure."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from driver.compare.difference import DRIFT, FEWEST, NOISE, in_turns, independent
from driver.results.statistics import Interval, median

if TYPE_CHECKING:
    from driver.compare.difference import Difference, Sessions

SMALLEST = 0.02
"""The smallest difference that counts unless the user names another, as a share.

Twice the drift between sessions; two builds of the same code may differ as much by where their memory is.
"""
LEFT_OPEN = NOISE
"""Two sides are indistinguishable only if their interval excludes a difference as large as this."""


class SpeedVerdict(StrEnum):
    """How B's speed compares with A's."""

    FASTER = "faster"
    SLOWER = "slower"
    INDISTINGUISHABLE = "indistinguishable"
    CANNOT_TELL = "cannot tell"
    NONE = "no verdict"


class Speed(NamedTuple):
    """B ÷ A with its 95 % interval, the verdict, the share that can be shown, what more would decide."""

    verdict: SpeedVerdict
    ratio: float
    interval: Interval
    shows: float
    more: str | None


def judge(a: Sessions, b: Sessions, smallest: float, *, measured_in_turns: bool) -> Speed:
    """Judge the speeds of two sides: items/s of each process, by session; each has one at least.

    B is faster or slower if the ratio differs from 1 by ``smallest`` or more and the interval excludes 1.
    The ratio is that of the medians or, measured in turns, the mean over the rounds.
    """
    if measured_in_turns:
        found = in_turns(a, b)
        ratio = math.exp(found.mean)
    else:
        found = independent(a, b)
        ratio = _median(b) / _median(a)
    interval = _around(ratio, found.interval())
    verdict = _verdict(ratio, interval, smallest)
    more = None
    if verdict is SpeedVerdict.CANNOT_TELL:
        unit = "round" if measured_in_turns else _unit(a, b)
        more = _more(found, max(abs(ratio - 1), smallest), unit)
    return Speed(verdict, ratio, interval, found.shows(), more)


def _unit(a: Sessions, b: Sessions) -> str:
    """Return of what there must be more: results where those are the unit of a side."""
    return "result of each" if max(len(a), len(b)) >= FEWEST else "process of each"


def _median(sessions: Sessions) -> float:
    return median([value for session in sessions for value in session])


def _around(ratio: float, interval: Interval) -> Interval:
    """Return the interval, widened to the ratio of the medians: of skewed values that is not the mean."""
    return Interval(min(interval.low, ratio), max(interval.high, ratio))


def _verdict(ratio: float, interval: Interval, smallest: float) -> SpeedVerdict:
    if interval.low > 1 and ratio >= 1 + smallest:
        return SpeedVerdict.FASTER
    if interval.high < 1 and ratio <= 1 - smallest:
        return SpeedVerdict.SLOWER
    closed = interval.low > 1 - LEFT_OPEN and interval.high < 1 + LEFT_OPEN
    if abs(ratio - 1) < smallest and closed:
        return SpeedVerdict.INDISTINGUISHABLE
    return SpeedVerdict.CANNOT_TELL


def _more(found: Difference, wanted: float, unit: str) -> str:
    """Return in words how many more of a unit would show the share ``wanted``, or what else would."""
    more = found.more(wanted)
    what = f"a difference of {wanted:.1%}"
    if more is not None:
        return f"about {more} more {_several(unit, more)} would show {what}"
    if unit == "round":
        return f"no reasonable number of rounds shows {what}: quieten the machine first"
    rounds = found.rounds(wanted)
    if rounds is None:
        return f"no reasonable number of processes shows {what}: quieten the machine first"
    return (
        f"results measured apart cannot show {what}: sessions are assumed to drift by {DRIFT:.0%}; "
        f"about {rounds} rounds measured in turns (RUN=1 REPEAT={rounds}) would"
    )


def _several(unit: str, count: int) -> str:
    noun, _, rest = unit.partition(" ")
    plural = noun if count == 1 else noun + ("es" if noun.endswith("s") else "s")
    return f"{plural} {rest}".rstrip()
