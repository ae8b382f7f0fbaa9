"""Rules about the chip's peak: what it is a peak of, and figures beyond it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from driver.published.finding import Finding
from driver.published.recompute import column_mfu, column_values, own_mfu, published_mfu
from driver.published.rules.places import columns_of_chips, table_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase


def beyond_fp32_peak(case: PublishedCase) -> Iterator[Finding]:
    """Find rows called fp32 that are faster than the chip's fp32 units can be."""
    for row in table_rows(case):
        again = own_mfu(case, row.cells)
        peak = case.published.chips[row.cells.chip].peaks.get("fp32")
        if row.cells.precision != "fp32" or again is None or peak is None:
            continue
        share = 100 * again.operations_per_item * again.throughput / Decimal(peak)
        if share <= 100:
            continue
        yield Finding(
            **row.place("precision"),
            rule="fp32-is-not-fp32",
            kind="misleading",
            printed="precision fp32",
            against=f"{share:.0f}% of the fp32 peak ({peak / 1e12:g} TFLOP/s)",
            reason="faster than the fp32 units can be, so the matrix products ran in TF32",
        )


def peak_of_other_arithmetic(case: PublishedCase) -> Iterator[Finding]:
    """Find an MFU against the peak of an arithmetic that did not run."""
    for row in table_rows(case):
        theirs, ours = published_mfu(case, row.cells), own_mfu(case, row.cells)
        if theirs is None or ours is None or theirs.peak == ours.peak:
            continue
        right = theirs.percent * theirs.peak / ours.peak
        precision, arithmetic = row.cells.precision, row.cells.arithmetic
        yield Finding(
            **row.place("mfu"),
            rule="peak-of-other-arithmetic",
            kind="misleading",
            printed=f"MFU {row.cells.mfu} of {theirs.peak / 10**12:g} TFLOP/s",
            against=f"{right:.1f}% of {ours.peak / 10**12:g} TFLOP/s ({arithmetic})",
            reason=f"{precision} computes in {arithmetic}; the peak is of another arithmetic",
        )


def unit_is_impossible(case: PublishedCase) -> Iterator[Finding]:
    """Find throughputs that would exceed the peak if they counted what the document says."""
    loops = case.published.loops
    if loops is None or loops.printed_item == loops.counted_item:
        return
    for row in table_rows(case):
        again = own_mfu(case, row.cells)
        if again is None or again.percent * loops.steps_per_item <= 100:
            continue
        yield Finding(
            **row.place(again.column),
            rule="unit",
            kind="contradiction",
            printed=f"{again.column} {again.throughput} {loops.printed_item}s/s",
            against=f"{again.percent * loops.steps_per_item:.0f}% of the peak",
            reason=f"a {loops.printed_item} is {loops.steps_per_item} {loops.counted_item}s; the "
            f"figure counts {loops.counted_item}s ({again.percent:.1f}% of the peak)",
            source=loops.source,
        )


def chips_not_stated(case: PublishedCase) -> Iterator[Finding]:
    """Find a column that may count one chip or a card of several, and both MFUs it would have."""
    for table, column in columns_of_chips(case):
        per_card = case.published.chips[column.chip].chips_per_card
        if column.chips is not None or per_card == 1:
            continue
        best = max(column_values(table, column.printed))
        readings = (column.model_copy(update={"chips": chips}) for chips in (1, per_card))
        shares = [column_mfu(case, reading, best) for reading in readings]
        yield Finding(
            where=f"{column.printed}, {table.best.label}",
            table=table.id,
            column=column.printed,
            rule="chip-or-card",
            kind="misleading",
            printed=f"{best}",
            against=" or ".join(f"{share:.1f}%" for share in shares if share is not None)
            + " of the peak",
            reason=f"the document does not say whether the figure is of one chip or of a card with "
            f"{per_card}; both are possible, so the ratios to this column have no meaning",
        )


RULES = (
    beyond_fp32_peak,
    peak_of_other_arithmetic,
    unit_is_impossible,
    chips_not_stated,
)
