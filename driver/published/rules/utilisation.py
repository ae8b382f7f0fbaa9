"""Rules about MFU: recomputed from its row, and the constant behind it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from driver.published.cells import half_digit, rounded, rounds_to, scientific
from driver.published.finding import Finding, Place
from driver.published.recompute import published_mfu
from driver.published.rules.places import table_rows
from driver.results.figures import OPERATIONS_PER_MAC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase
    from driver.published.recompute import Mfu
    from driver.published.rules.places import TableRow

SAME_CONSTANT = Decimal("0.02")
"""A constant this close to our count (as a share of it) is our count."""


def mfu_differs(case: PublishedCase) -> Iterator[Finding]:
    """Find an MFU that its row's throughput does not give, in the document's own convention."""
    for row in table_rows(case):
        shown, again = row.cells.mfu, published_mfu(case, row.cells)
        if row.number("mfu") is None or again is None or rounds_to(again.percent, shown):
            continue
        allowed = _digits_allow(row, again)
        yield Finding(
            **row.place("mfu"),
            rule="mfu-differs",
            kind="rounding" if allowed else "contradiction",
            printed=f"MFU {shown}",
            against=f"{rounded(again.percent, 2)}%",
            reason=f"{scientific(again.operations_per_item)} × {again.throughput} ÷ "
            f"{scientific(again.peak)}; the printed digits "
            + ("allow both" if allowed else "exclude the printed MFU"),
        )


def _digits_allow(row: TableRow, again: Mfu) -> bool:
    """Tell whether rounding of the printed throughput and of the printed MFU explains both."""
    slack = again.percent * half_digit(getattr(row.cells, again.column)) / again.throughput
    shown = row.number("mfu")
    return shown is not None and abs(again.percent - shown) <= slack + half_digit(row.cells.mfu)


def mfu_without_throughput(case: PublishedCase) -> Iterator[Finding]:
    """Find an MFU in a row that prints no p_infer_core."""
    for row in table_rows(case):
        shown = row.number("mfu")
        if shown is None or row.number("p_infer_core") is not None:
            continue
        again = published_mfu(case, row.cells)
        yield Finding(
            **row.place("mfu"),
            rule="mfu-without-throughput",
            kind="misleading",
            printed=f"MFU {row.cells.mfu}, p_infer_core {row.cells.p_infer_core}",
            against=f"{rounded(again.percent, 2)}% from {again.column} {again.throughput}"
            if again
            else _implied(case, row, shown),
            reason="the MFU is validation's; inference has no throughput that would give one"
            if again
            else "no throughput is printed, so the MFU cannot be checked",
        )


def _implied(case: PublishedCase, row: TableRow, shown: Decimal) -> str:
    constant = case.published.model.macs_published
    peak = case.published.chips[row.cells.chip].published_peaks.get(row.cells.precision)
    if constant is None or peak is None:
        return "/"
    return f"implies {shown * Decimal(peak) / (100 * Decimal(constant)):.1f} items/s"


def operations_counted(case: PublishedCase) -> Iterator[Finding]:
    """Find a constant that does not count two operations per multiply-accumulate, as peaks do."""
    constant = case.published.model.macs_published
    operations = OPERATIONS_PER_MAC * case.macs
    if constant is None or abs(constant / operations - 1) <= SAME_CONSTANT:
        return
    yield Finding(
        **_mfu_column(case),
        rule="operations-counted",
        kind="misleading",
        printed=f"{scientific(constant)} operations per item",
        against=f"{scientific(operations)} operations per item",
        reason="peaks count a multiplication and an addition as two operations; counted here: "
        f"{case.macs_scope}. The printed MFU is {constant / operations:.2f} of what this count gives",
        source=case.published.model.macs_published_source,
    )


def constant_differs(case: PublishedCase) -> Iterator[Finding]:
    """Find a constant that is neither our number of multiply-accumulates nor twice that."""
    constant = case.published.model.macs_published
    counts = (case.macs, OPERATIONS_PER_MAC * case.macs)
    if constant is None or any(abs(constant / count - 1) <= SAME_CONSTANT for count in counts):
        return
    yield Finding(
        **_mfu_column(case),
        rule="constant-off",
        kind="misleading",
        printed=scientific(constant),
        against=f"{scientific(case.macs)} multiply-accumulates "
        f"({100 * (constant / case.macs - 1):+.1f}%)",
        reason=case.published.model.macs_published_note or "the constant differs from the count",
        source=case.published.model.macs_published_source,
    )


def _mfu_column(case: PublishedCase) -> Place:
    table = case.published.flagperf[0].id if case.published.flagperf else None
    return Place(where="MFU", table=table, rows=(), column="mfu" if table else None)


RULES = (
    mfu_differs,
    mfu_without_throughput,
    operations_counted,
    constant_differs,
)
