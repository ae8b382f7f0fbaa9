"""Rules about the figures that a document's text draws from its logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published.figures import number
from driver.published.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.published import ThroughputTable
    from driver.published.load import PublishedCase


def products_differ(case: PublishedCase) -> Iterator[Finding]:
    """Report a product in the text that is miscalculated or has the wrong factor."""
    for figure in case.published.figures:
        measured, total = number(figure.measured), number(figure.total)
        if measured is None or total is None or figure.factor is None:
            continue
        chips = case.published.chips[figure.chip].chips_per_card
        meant = figure.batch_size if figure.factor_is == "batch" else chips
        if measured * int(figure.factor) == total and int(figure.factor) == meant:
            continue
        yield Finding(
            rule="product",
            kind="contradiction",
            where=f"{figure.heading}, bs {figure.batch_size}",
            printed=figure.text,
            against=f"{measured} × {meant} = {measured * meant}",
            reason=f"the factor is the {figure.factor_is}",
        )


def text_against_table(case: PublishedCase) -> Iterator[Finding]:
    """Report figures of the text that the table prints otherwise."""
    for table in case.published.throughput:
        columns = {column.chip: i for i, column in enumerate(table.chips)}
        rows = {row.batch_size: (i, row) for i, row in enumerate(table.rows)}
        for figure in case.published.figures:
            index, row = rows[figure.batch_size]
            shown = row.values[columns[figure.chip]]
            drawn, printed = number(figure.total), number(shown)
            if drawn is None or printed is None or drawn == printed:
                continue
            yield Finding(
                rule="text-against-table",
                kind="contradiction",
                where=f"{figure.heading} and {table.heading}, {row.label}",
                printed=f"table {shown}",
                against=f"text {figure.total} ({100 * (drawn / printed - 1):+.1f}%)",
                reason="text and table come from different runs",
                table=table.id,
                rows=(index,),
                column=table.chips[columns[figure.chip]].printed,
            )


def only_in_the_table(case: PublishedCase) -> Iterator[Finding]:
    """Report rows that no log and no sentence supports, where the document has them for others."""
    supported = {figure.batch_size for figure in case.published.figures}
    for table in case.published.throughput:
        for index, row in enumerate(table.rows):
            if not supported or row.batch_size in supported:
                continue
            yield Finding(
                rule="only-in-table",
                kind="note",
                where=row.label,
                printed=", ".join(row.values),
                against=f"text and logs end at bs {max(supported)}",
                reason="nothing in the document shows where these figures come from",
                table=table.id,
                rows=(index,),
            )


def multiplied_not_measured(case: PublishedCase) -> Iterator[Finding]:
    """Report a card's throughput that is one chip's, multiplied."""
    figures = [item for item in case.published.figures if item.factor_is == "chips"]
    if not figures:
        return
    first = figures[0]
    yield Finding(
        rule="extrapolated",
        kind="misleading",
        where=f"{first.heading}, {len(figures)} figures",
        printed=f"{first.total} a card",
        against=f"{first.measured} measured on one chip",
        reason=f"multiplied by {first.factor}: no run used the whole card, whose chips share "
        "host, bus and power",
        table=case.published.throughput[0].id if case.published.throughput else None,
        column=_column_of(case.published.throughput, first.chip),
    )


def _column_of(tables: tuple[ThroughputTable, ...], chip: str) -> str | None:
    columns = (column for table in tables for column in table.chips)
    return next((column.printed for column in columns if column.chip == chip), None)


RULES = (products_differ, text_against_table, only_in_the_table, multiplied_not_measured)
