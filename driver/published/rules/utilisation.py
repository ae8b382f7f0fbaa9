"""Rules about MFU and throughput: what was divided by what, and what was counted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from driver.published.figures import half_digit, number, rounded, rounds_to, scientific
from driver.published.finding import Finding, label
from driver.published.recompute import own_mfu, published_mfu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.published import FlagperfRow, FlagperfTable
    from driver.published.load import PublishedCase
    from driver.published.recompute import Mfu

MFU_TOLERANCE_POINTS = Decimal("0.3")
"""Recomputed and printed MFU agree when they lie this close, in percentage points."""


def flagperf_rows(case: PublishedCase) -> Iterator[tuple[FlagperfTable, int, FlagperfRow]]:
    """Yield every row of the case's FlagPerf tables with its table and index."""
    for table in case.published.flagperf:
        for index, row in enumerate(table.rows):
            yield table, index, row


def mfu_differs(case: PublishedCase) -> Iterator[Finding]:
    """Report an MFU that the row's own throughput does not give, in the documents' convention."""
    for table, index, row in flagperf_rows(case):
        shown, again = number(row.mfu), published_mfu(case, row)
        if shown is None or again is None or rounds_to(again.percent, row.mfu):
            continue
        explained = _digits_allow(row, again)
        close = abs(again.percent - shown) <= MFU_TOLERANCE_POINTS
        tail = "the printed digits allow both" if explained else "the printed digits exclude it"
        yield Finding(
            rule="mfu-differs",
            kind="rounding" if explained and close else "contradiction",
            where=label(row),
            printed=f"MFU {row.mfu}",
            against=f"{rounded(again.percent, 2)}%",
            reason=f"{scientific(again.operations_per_item)} × {again.throughput} ÷ "
            f"{scientific(again.peak)}; {tail}",
            table=table.id,
            rows=(index,),
            column="mfu",
        )


def _digits_allow(row: FlagperfRow, again: Mfu) -> bool:
    printed_throughput = getattr(row, again.column)
    slack = again.percent * half_digit(printed_throughput) / again.throughput
    shown = number(row.mfu)
    return shown is not None and abs(again.percent - shown) <= slack + half_digit(row.mfu)


def mfu_without_its_throughput(case: PublishedCase) -> Iterator[Finding]:
    """Report an MFU in a row whose p_infer_core is missing."""
    for table, index, row in flagperf_rows(case):
        shown = number(row.mfu)
        if shown is None or number(row.p_infer_core) is not None:
            continue
        again = published_mfu(case, row)
        if again is not None:
            against = f"{rounded(again.percent, 2)}% from {again.column} {again.throughput}"
            reason = "the figure belongs to validation; as an inference MFU it has no throughput"
        else:
            against = _implied(case, row, shown)
            reason = "no throughput is printed, so the figure cannot be checked"
        yield Finding(
            rule="mfu-without-throughput",
            kind="misleading",
            where=label(row),
            printed=f"MFU {row.mfu}, p_infer_core {row.p_infer_core}",
            against=against,
            reason=reason,
            table=table.id,
            rows=(index,),
            column="mfu",
        )


def _implied(case: PublishedCase, row: FlagperfRow, shown: Decimal) -> str:
    constant = case.published.model.macs_published
    peak = case.published.chips[row.chip].published_peaks.get(row.precision)
    if constant is None or peak is None:
        return "/"
    return f"implies {shown * Decimal(peak) / (100 * Decimal(constant)):.1f} items/s"


def beyond_fp32_peak(case: PublishedCase) -> Iterator[Finding]:
    """Report rows called fp32 that are faster than the chip's fp32 units can be."""
    for table, index, row in flagperf_rows(case):
        again = own_mfu(case, row)
        peak = case.published.chips[row.chip].peaks.get("fp32")
        if row.precision != "fp32" or again is None or peak is None:
            continue
        share = 100 * again.operations_per_item * again.throughput / Decimal(peak)
        if share <= 100:
            continue
        yield Finding(
            rule="fp32-is-not-fp32",
            kind="misleading",
            where=label(row),
            printed="precision fp32",
            against=f"{share:.0f}% of the fp32 peak ({peak / 1e12:g} TFLOP/s)",
            reason="faster than the fp32 units can be, so the matrices ran in TF32",
            table=table.id,
            rows=(index,),
            column="precision",
        )


def peak_of_other_arithmetic(case: PublishedCase) -> Iterator[Finding]:
    """Report an MFU against the peak of an arithmetic that did not run."""
    for table, index, row in flagperf_rows(case):
        theirs, ours = published_mfu(case, row), own_mfu(case, row)
        if theirs is None or ours is None or theirs.peak == ours.peak:
            continue
        right = theirs.percent * theirs.peak / ours.peak
        yield Finding(
            rule="peak-of-other-arithmetic",
            kind="misleading",
            where=label(row),
            printed=f"MFU {row.mfu} of {theirs.peak / 10**12:g} TFLOP/s",
            against=f"{right:.1f}% of {ours.peak / 10**12:g} TFLOP/s ({row.arithmetic})",
            reason=f"{row.precision} computes in {row.arithmetic}; the peak is another arithmetic's",
            table=table.id,
            rows=(index,),
            column="mfu",
        )


RULES = (
    mfu_differs,
    mfu_without_its_throughput,
    beyond_fp32_peak,
    peak_of_other_arithmetic,
)
