"""The cards of one kind beside each other: their spread, and the cards that stand out. Pure."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.groups import SMOKE, comparable_rows, group_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.aggregate.record import Record

FEWEST_CARDS = 3
"""Of two cards that differ, nothing says which one is odd."""
CUT_OFF = 3.5
"""Distance from the median, in robust standard deviations, from which a card is an outlier: the modified
z-score and bound of Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993)."""
MAD_TO_SIGMA = 1.4826
"""The median absolute deviation of a normal distribution, times this, is its standard deviation."""
LEAST_SIGMA = 0.01
"""The smallest standard deviation that counts, as a share of the median: cards that agree within a tenth of
a percent would make one that differs by half a percent an outlier."""


class Card(NamedTuple):
    """A card: its host, its serial or UUID ("" if the monitor reports none), and its driver's version."""

    host: str
    serial: str
    driver: str

    @property
    def name(self) -> str:
        """Return the card's name for people: what is known of it."""
        return " ".join(filter(None, (self.serial, f"on {self.host}" if self.host else ""))) or "?"


class CardSpread(NamedTuple):
    """One configuration on several cards of a kind; rates are p_infer_core, items/s.

    ``rates`` has the newest valid result of each card, ``outliers`` the cards that stand out.
    """

    title: str
    rates: dict[Card, float]
    median: float
    outliers: tuple[Card, ...]

    @property
    def spread(self) -> float:
        """Return the largest difference of two cards as a share of the median."""
        return (max(self.rates.values()) - min(self.rates.values())) / self.median


def card_spreads(records: Iterable[Record]) -> list[CardSpread]:
    """Return the spread of every configuration that several cards have measured, in order of their titles."""
    kinds: defaultdict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in comparable_rows(list(records)):
        if record.p_infer_core and record.processor is None and record.tier != SMOKE:
            kinds[_kind(record)].append(record)
    found = [_spread_of(rows) for rows in kinds.values()]
    return sorted((one for one in found if one is not None), key=lambda one: one.title)


def outliers(rates: dict[Card, float]) -> tuple[Card, ...]:
    """Return the cards that stand out from the others of their kind, the farthest first."""
    if len(rates) < FEWEST_CARDS:
        return ()
    middle = median(rates.values())
    distances = {card: abs(rate - middle) for card, rate in rates.items()}
    sigma = max(MAD_TO_SIGMA * median(distances.values()), LEAST_SIGMA * middle)
    far = [card for card, distance in distances.items() if distance > CUT_OFF * sigma]
    return tuple(sorted(far, key=lambda card: (-distances[card], card)))


def _kind(record: Record) -> tuple[object, ...]:
    return (
        *(group_key(record), record.vendor, record.chip, record.stack, record.engine),
        *(record.precision, record.batch_size, record.tier, record.runner, record.input_kind),
        *(record.options, record.clock),
    )


def _spread_of(rows: Sequence[Record]) -> CardSpread | None:
    rates: dict[Card, float] = {}
    for row in sorted(rows, key=lambda one: one.started_utc):
        rates[card_of(row)] = float(row.p_infer_core or 0)
    if len(rates) < 2:
        return None
    row = rows[0]
    return CardSpread(
        title=f"{row.case} {row.chip} {row.stack} {row.engine} {row.precision} bs{row.batch_size}",
        rates=rates,
        median=median(rates.values()),
        outliers=outliers(rates),
    )


def card_of(record: Record) -> Card:
    """Return the card that a result was measured on."""
    return Card(record.host or "", record.card or "", record.driver_version or "")
