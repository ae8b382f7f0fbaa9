"""Rules about batch sizes: how throughput changes with them, and which items they leave out."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from math import log2
from typing import TYPE_CHECKING

from driver.published.finding import Finding
from driver.published.rules.places import (
    columns_of_chips,
    figures_in,
    place_in_column,
    table_rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.published import TableChip, ThroughputTable
    from driver.published.load import PublishedCase

FALLS = Decimal("0.03")
"""A larger batch that is slower than a smaller one by more than this share is worth a note."""

ACCELERATES = 1.25
"""When the growth per doubling rises by this factor, the rows are hardly of one run."""


def falls_with_batch_size(case: PublishedCase) -> Iterator[Finding]:
    """Find columns whose largest batch is slower than their best one."""
    for table, column in columns_of_chips(case):
        figures = figures_in(table, column)
        fastest, best = max(figures, key=lambda figure: figure[1])
        index, last = figures[-1]
        if last >= best * (1 - FALLS):
            continue
        yield Finding(
            **place_in_column(table, index, column.printed),
            rule="falls-with-batch",
            kind="note",
            printed=f"{last}",
            against=f"{best} at {table.rows[fastest].label}",
            reason=f"{100 * (1 - last / best):.1f}% slower with a larger batch",
        )


def growth_accelerates(case: PublishedCase) -> Iterator[Finding]:
    """Find a batch size after which throughput suddenly grows faster per doubling than before."""
    for table, column in columns_of_chips(case):
        growth = _growth_per_doubling(table, column)
        for (_, before), ((index, value), after) in pairwise(growth):
            if after < before * ACCELERATES:
                continue
            yield Finding(
                **place_in_column(table, index, column.printed),
                rule="growth-accelerates",
                kind="note",
                printed=f"{value}",
                against=f"{before:.2f} times per doubling up to it, {after:.2f} times after it",
                reason="larger batches usually gain less and less; this row, or one beside it, may "
                "come from another run",
            )


def _growth_per_doubling(
    table: ThroughputTable, column: TableChip
) -> list[tuple[tuple[int, Decimal], float]]:
    """Return each figure, (row, throughput), with what a doubling of the batch gains from there on."""
    growth = []
    for (row, value), (following, next_value) in pairwise(figures_in(table, column)):
        small, large = table.rows[row].batch_size, table.rows[following].batch_size
        if small is not None and large is not None:
            gain = float(next_value / value) ** (1 / log2(large / small))
            growth.append(((row, value), gain))
    return growth


def items_dropped(case: PublishedCase) -> Iterator[Finding]:
    """Find batch sizes at which the last, partial batch is dropped, or even the only one."""
    loops = case.published.loops
    if loops is None or not loops.drop_last:
        return
    for row in table_rows(case):
        batch = int(row.cells.bs)
        counted = loops.dataset_items // batch * batch
        if counted == loops.dataset_items:
            continue
        yield Finding(
            **row.place("bs"),
            rule="partial-batch-dropped" if counted else "no-full-batch",
            kind="note" if counted else "contradiction",
            printed=f"bs {row.cells.bs}",
            against=f"{counted} of {loops.dataset_items} items",
            reason="the last, partial batch is dropped, so some items are never scored"
            if counted
            else "the dataset is smaller than one batch and partial batches are dropped: this row "
            "was made with other data or with another program",
            source=loops.source,
        )


RULES = (falls_with_batch_size, growth_accelerates, items_dropped)
