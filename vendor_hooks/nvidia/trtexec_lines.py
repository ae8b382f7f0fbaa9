"""What both formats of trtexec are parsed into: lines, statistics in milliseconds, errors that name a line."""

from typing import Dict, NamedTuple, Optional, Tuple

TO_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class TrtexecFormatError(ValueError):
    """The text is not the output of a known trtexec; the message names the line."""


class TrtexecTiming(NamedTuple):
    """One statistic of trtexec, in milliseconds; ``percentiles_ms`` maps 99 to its value."""

    min_ms: float
    max_ms: float
    mean_ms: Optional[float]
    median_ms: float
    percentiles_ms: Dict[int, float]


class Line(NamedTuple):
    """One line of a log, numbered from 1, without its date; ``severity`` is I, W, E, F, V or empty."""

    number: int
    severity: str
    text: str

    def refuse(self, why: str) -> TrtexecFormatError:
        """The error that names this line."""
        return TrtexecFormatError(
            "trtexec output, line {}: {}: {!r}. The known formats are those of 7.x, 8.0-8.2 and 8.4 or "
            "later; keep the log and report it.".format(self.number, why, self.text)
        )


class Found:
    """The figures that were read so far."""

    def __init__(self) -> None:
        self.rate: Optional[Tuple[float, Line]] = None
        self.wall_s: Optional[float] = None
        self.compute_total_s: Optional[float] = None
        self.timings: Dict[str, TrtexecTiming] = {}


def make_timing(
    line: Line, plain: Dict[str, float], percentiles: Dict[int, float]
) -> TrtexecTiming:
    """Make a statistic from its parts; an error if one is missing that every release prints."""
    missing = [name for name in ("min", "max", "median") if name not in plain]
    if missing:
        raise line.refuse("{} is missing in".format(", ".join(missing)))
    return TrtexecTiming(
        plain["min"], plain["max"], plain.get("mean"), plain["median"], percentiles
    )


def milliseconds(line: Line, number: str, unit: str) -> float:
    """Convert a time from the unit that is printed with it."""
    if unit not in TO_MS:
        raise line.refuse("{!r} is not a unit of time".format(unit))
    return _float(line, number) * TO_MS[unit]


def number_of(line: Line, value: str, unit: str) -> float:
    """Read a figure that must be in ``unit``."""
    number, _, printed = value.partition(" ")
    if printed != unit:
        raise line.refuse("expected a number in {}, found {!r}".format(unit, value))
    return _float(line, number)


def _float(line: Line, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise line.refuse("{!r} is not a number".format(number)) from None
