"""Two programs measured in turns: the rates of each, their medians, and what the spread was."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Rates:
    """What one program reached in each pair, items a second."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure: never the mean, never the best."""
        return statistics.median(self.values)

    def times(self, other: Rates) -> float:
        """Return how many times the other's median this one's is."""
        return self.median / other.median

    def pairwise(self, other: Rates) -> tuple[float, float]:
        """Return the smallest and the largest ratio of a single pair."""
        ratios = [own / theirs for own, theirs in zip(self.values, other.values, strict=True)]
        return min(ratios), max(ratios)

    def __str__(self) -> str:
        """Median, and in brackets the slowest and the fastest."""
        spread = f"{_short(min(self.values))}–{_short(max(self.values))}"
        return f"{_short(self.median)} items/s ({spread})"


def in_turns(pairs: int, sides: Sequence[Callable[[], float]]) -> list[Rates]:
    """Call each side once a pair, in turns; every other pair begins at the other end.

    A machine that grows warm or busy then slows no side more than another. The first call is
    always the first side's.
    """
    found: list[list[float]] = [[] for _ in sides]
    for pair in range(pairs):
        order = range(len(sides))
        for index in reversed(order) if pair % 2 else order:
            found[index].append(sides[index]())
    return [Rates(tuple(values)) for values in found]


def _short(value: float) -> str:
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"
