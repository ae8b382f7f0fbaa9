"""Rules about throughput-by-batch tables and the figures that the text draws from logs."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from math import log2
from typing import TYPE_CHECKING

from driver.published.figures import cuts_to, number, rounds_to
from driver.published.finding import Finding
from driver.published.recompute import column_mfu, column_values, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.published import ThroughputRow, ThroughputTable
    from driver.published.load import PublishedCase

FALLS = Decimal("0.03")
"""A larger batch slower than a smaller one by more than this share is worth a note."""

ACCELERATES = 1.25
"""Growth a doubling that rises by this factor is no curve of one run."""


def ratios_differ(case: PublishedCase) -> Iterator[Finding]:
    """Report ratio cells that their own row does not give."""
    for table in case.published.throughput:
        for index, row in enumerate((*table.rows, table.best)):
            for column, spec in enumerate(table.ratios):
                value, shown = ratio(table, row.values, column), row.ratios[column]
                if value is None or number(shown) is None or rounds_to(value, shown):
                    continue
                cut = cuts_to(value, shown)
                yield Finding(
                    rule="ratio",
                    kind="rounding" if cut else "contradiction",
                    where=row.label,
                    printed=f"{spec.printed} {shown}",
                    against=f"{value:.4f}",
                    reason="cut off, where every other cell of the column is rounded"
                    if cut
                    else "the row's own throughputs give another ratio",
                    table=table.id,
                    rows=(index,),
                    column=spec.printed,
                )


def best_is_not_best(case: PublishedCase) -> Iterator[Finding]:
    """Report a best-batch cell that is not its column's largest figure."""
    for table in case.published.throughput:
        for column, shown in zip(table.chips, table.best.values, strict=True):
            best = max(column_values(table, column.printed))
            if number(shown) == best:
                continue
            yield Finding(
                rule="best-batch",
                kind="contradiction",
                where=table.best.label,
                printed=f"{column.printed} {shown}",
                against=f"{best}",
                reason="the largest figure of the column is another",
                table=table.id,
                rows=(len(table.rows),),
                column=column.printed,
            )


def closing_ratios_differ(case: PublishedCase) -> Iterator[Finding]:
    """Report a ratio of the closing sentence that the best figures do not give."""
    for claim in case.published.closing_ratios:
        table = case.published.throughput[0]
        upper = max(column_values(table, claim.numerator))
        lower = max(column_values(table, claim.denominator))
        if rounds_to(upper / lower, claim.printed):
            continue
        yield Finding(
            rule="closing-ratio",
            kind="contradiction",
            where=claim.heading,
            printed=claim.printed,
            against=f"{upper / lower:.4f}",
            reason=f"{claim.numerator} {upper} ÷ {claim.denominator} {lower}",
        )


def falls_with_batch_size(case: PublishedCase) -> Iterator[Finding]:
    """Report columns whose largest batch is slower than their best one."""
    for table in case.published.throughput:
        for column in table.chips:
            values = column_values(table, column.printed)
            best, last = max(values), values[-1]
            if last >= best * (1 - FALLS):
                continue
            yield Finding(
                rule="falls-with-batch",
                kind="note",
                where=f"{column.printed}, {table.rows[-1].label}",
                printed=f"{last}",
                against=f"{best} at {table.rows[values.index(best)].label}",
                reason=f"{100 * (1 - last / best):.1f}% slower with a larger batch",
                table=table.id,
                rows=(len(table.rows) - 1,),
                column=column.printed,
            )


def growth_accelerates(case: PublishedCase) -> Iterator[Finding]:
    """Report a batch size after which throughput suddenly grows faster a doubling than before it."""
    for table in case.published.throughput:
        for column in table.chips:
            growth = _growth_a_doubling(table, column.printed)
            for index, (before, after) in enumerate(pairwise(growth), start=1):
                if after < before * ACCELERATES:
                    continue
                row = table.rows[index]
                yield Finding(
                    rule="growth-accelerates",
                    kind="note",
                    where=f"{column.printed}, {row.label}",
                    printed=f"{column_values(table, column.printed)[index]}",
                    against=f"{before:.2f} times a doubling up to it, {after:.2f} times after it",
                    reason="larger batches gain less and less as a rule; this row, or one beside it, may "
                    "be of another run",
                    table=table.id,
                    rows=(index,),
                    column=column.printed,
                )


def _growth_a_doubling(table: ThroughputTable, printed: str) -> list[float]:
    """Return by what a doubling of the batch multiplies throughput, between neighbouring rows."""
    sizes = [row.batch_size for row in table.rows]
    values = column_values(table, printed)
    if len(values) != len(sizes):
        return []
    steps = zip(pairwise(sizes), pairwise(values), strict=True)
    return [
        float(after / before) ** (1 / log2(large / small))
        for (small, large), (before, after) in steps
        if small is not None and large is not None
    ]


def chips_unsaid(case: PublishedCase) -> Iterator[Finding]:
    """Report a column of a chip that is sold several to a card, when what it counts is unsaid."""
    for table in case.published.throughput:
        for column in table.chips:
            per_card = case.published.chips[column.chip].chips_per_card
            if column.chips is not None or per_card == 1:
                continue
            best = max(column_values(table, column.printed))
            shares = [
                column_mfu(case, column.model_copy(update={"chips": chips}), best)
                for chips in (1, per_card)
            ]
            yield Finding(
                rule="chip-or-card",
                kind="misleading",
                where=f"{column.printed}, {table.best.label}",
                printed=f"{best}",
                against=" or ".join(f"{share:.1f}%" for share in shares if share is not None)
                + " of the peak",
                reason=f"not said whether the figure is one chip's or a card's of {per_card}; "
                "both are possible, so the ratios to this column have no meaning",
                table=table.id,
                column=column.printed,
            )


def labels_differ(case: PublishedCase) -> Iterator[Finding]:
    """Report a row label that is not its batch size."""

    def wrong(row: ThroughputRow) -> bool:
        shown = number(row.label.removeprefix("bs"))
        return row.batch_size is not None and shown != row.batch_size

    for table in case.published.throughput:
        for index, row in enumerate(table.rows):
            if wrong(row):
                yield Finding(
                    rule="batch-label",
                    kind="contradiction",
                    where=row.label,
                    printed=row.label,
                    against=f"batch size {row.batch_size}",
                    reason="label and batch size differ",
                    table=table.id,
                    rows=(index,),
                )


RULES = (
    ratios_differ,
    best_is_not_best,
    closing_ratios_differ,
    falls_with_batch_size,
    growth_accelerates,
    chips_unsaid,
    labels_differ,
)
