"""Rules about what a document computed from its own figures: ratios, products, shares."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from driver.published.cells import cuts_to, half_digit, number, rounds_to
from driver.published.finding import Finding
from driver.published.recompute import column_values, ratio
from driver.published.rules.places import columns_of_chips, in_text, place_in_column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase


def ratios_differ(case: PublishedCase) -> Iterator[Finding]:
    """Find ratio cells that their own row does not give."""
    for table in case.published.throughput:
        for index, row in enumerate((*table.rows, table.best)):
            for column, spec in enumerate(table.ratios):
                value, shown = ratio(table, row.values, column), row.ratios[column]
                if value is None or number(shown) is None or rounds_to(value, shown):
                    continue
                cut = cuts_to(value, shown)
                yield Finding(
                    **place_in_column(table, index, spec.printed),
                    rule="ratio",
                    kind="rounding" if cut else "contradiction",
                    printed=f"{spec.printed} {shown}",
                    against=f"{value:.4f}",
                    reason="cut off, not rounded"
                    if cut
                    else "the throughputs in the row give another ratio",
                )


def best_is_not_best(case: PublishedCase) -> Iterator[Finding]:
    """Find a best-batch cell that is not the largest figure of its column."""
    for table, column in columns_of_chips(case):
        shown = table.best.values[table.chips.index(column)]
        best = max(column_values(table, column.printed))
        if number(shown) == best:
            continue
        yield Finding(
            **place_in_column(table, len(table.rows), column.printed),
            rule="best-batch",
            kind="contradiction",
            printed=f"{column.printed} {shown}",
            against=f"{best}",
            reason="the largest figure of the column is another one",
        )


def closing_ratios_differ(case: PublishedCase) -> Iterator[Finding]:
    """Find a ratio claimed in the text that the best figures of the table do not give."""
    for claim in case.published.closing_ratios:
        table = case.published.throughput[0]
        upper = max(column_values(table, claim.numerator))
        lower = max(column_values(table, claim.denominator))
        if rounds_to(upper / lower, claim.printed):
            continue
        yield Finding(
            where=claim.heading,
            rule="closing-ratio",
            kind="contradiction",
            printed=claim.printed,
            against=f"{upper / lower:.4f}",
            reason=f"{claim.numerator} {upper} ÷ {claim.denominator} {lower}",
        )


def products_differ(case: PublishedCase) -> Iterator[Finding]:
    """Find a product in the text that is miscalculated or has the wrong factor."""
    for figure in case.published.figures:
        measured, total = number(figure.measured), number(figure.total)
        if measured is None or total is None or figure.factor is None:
            continue
        chips = case.published.chips[figure.chip].chips_per_card
        meant = figure.batch_size if figure.factor_is == "batch" else chips
        if measured * int(figure.factor) == total and int(figure.factor) == meant:
            continue
        yield Finding(
            **in_text(figure),
            rule="product",
            kind="contradiction",
            printed=figure.text,
            against=f"{measured} × {meant} = {measured * meant}",
            reason="the factor is the batch size"
            if figure.factor_is == "batch"
            else "the factor is the number of chips on a card",
        )


def shares_of_the_dataset(case: PublishedCase) -> Iterator[Finding]:
    """Find an accuracy that no whole number of the dataset's items gives."""
    if case.published.loops is None:
        return
    items = case.published.loops.dataset_items
    for table in case.published.accuracy:
        cells = ((i, row[0], cell) for i, row in enumerate(table.rows) for cell in row[1:])
        for index, name, shown in cells:
            value = number(shown)
            if value is None or _is_share(value, half_digit(shown), items):
                continue
            yield Finding(
                where=f"{name}, {table.heading}",
                table=table.id,
                rows=(index,),
                rule="not-a-share",
                kind="contradiction",
                printed=shown,
                against=f"{value * items / 100:.2f} of {items}",
                reason="no whole number of items gives this percentage",
            )


def _is_share(percent: Decimal, slack: Decimal, items: int) -> bool:
    count = percent * items / 100
    return abs(count - round(count)) <= slack * items / 100


RULES = (
    ratios_differ,
    best_is_not_best,
    closing_ratios_differ,
    products_differ,
    shares_of_the_dataset,
)
