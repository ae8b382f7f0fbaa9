"""The cards of one kind, as rows of a table of their own, and what to say of one that stands out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published.chinese import said
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.published.columns import Language
    from driver.report.cards.spread import Card, CardSpread

CARDS_HEADERS = ("configuration", "cards", "median", "slowest", "fastest", "spread", "stands out")
CARDS_ROWS = 200
"""Most configurations in the page and in Markdown, those with an outlier first, then by spread."""
OUTLIER = "{card} stands out from the other cards of its kind: {ratio} of their median in {count} of {of} configurations"


def card_rows(spreads: Sequence[CardSpread]) -> list[tuple[str, ...]]:
    """Return a row for each configuration, in the order of CARDS_HEADERS."""
    ranked = sorted(spreads, key=lambda one: (not one.outliers, -one.spread, one.title))
    return [_row(one) for one in ranked[:CARDS_ROWS]]


def outlier_notices(spreads: Sequence[CardSpread], language: Language) -> list[str]:
    """Return a sentence for each card that stands out, the one that does so most often first."""
    often: dict[Card, list[CardSpread]] = {}
    for one in spreads:
        for card in one.outliers:
            often.setdefault(card, []).append(one)
    measured = {card: sum(card in one.rates for one in spreads) for card in often}
    ranked = sorted(often, key=lambda card: (-len(often[card]), card))
    return [
        said(OUTLIER, language).format(
            card=plain(card.name),
            ratio=f"{_worst(card, often[card]):.2f}",
            count=len(often[card]),
            of=measured[card],
        )
        for card in ranked
    ]


def _worst(card: Card, spreads: Sequence[CardSpread]) -> float:
    """Return the ratio to the median that is the farthest from 1."""
    return max((one.rates[card] / one.median for one in spreads), key=lambda ratio: abs(ratio - 1))


def _row(one: CardSpread) -> tuple[str, ...]:
    slowest = min(one.rates, key=lambda card: one.rates[card])
    fastest = max(one.rates, key=lambda card: one.rates[card])
    return (
        plain(one.title),
        str(len(one.rates)),
        f"{one.median:.1f}",
        _with_driver(one, slowest),
        _with_driver(one, fastest),
        f"{one.spread:.1%}",
        plain("; ".join(card.name for card in one.outliers)) or "/",
    )


def _with_driver(one: CardSpread, card: Card) -> str:
    driver = f", driver {card.driver}" if card.driver else ""
    return plain(f"{one.rates[card]:.1f} ({card.name}{driver})")
