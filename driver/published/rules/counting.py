"""Rules about what a throughput counts, and about figures that must not exceed one another."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from driver.figures import OPERATIONS_PER_MAC
from driver.published.figures import number, scientific
from driver.published.finding import Finding, label
from driver.published.recompute import own_mfu
from driver.published.rules.utilisation import flagperf_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase

SAME_CONSTANT = Decimal("0.02")
"""A constant within this share of our count is our count."""


def operations_counted(case: PublishedCase) -> Iterator[Finding]:
    """Report what the documents' constant counts, against two operations a multiply-accumulate."""
    constant = case.published.model.macs_published
    if constant is None or not case.published.flagperf:
        return
    operations = OPERATIONS_PER_MAC * case.macs
    yield Finding(
        rule="operations-counted",
        kind="misleading",
        where="MFU",
        printed=f"{scientific(constant)} operations an item",
        against=f"{scientific(operations)} operations an item",
        reason=f"the peaks count a multiplication and an addition as two; {case.macs_scope}. "
        f"The printed MFU is {constant / operations:.2f} of what such a count gives",
        source=case.published.model.macs_published_source,
        table=case.published.flagperf[0].id,
        column="mfu",
    )
    off = Decimal(constant) / case.macs - 1
    if abs(off) > SAME_CONSTANT:
        yield Finding(
            rule="constant-off",
            kind="misleading",
            where="MFU",
            printed=scientific(constant),
            against=f"{scientific(case.macs)} multiply-accumulates ({100 * off:+.1f}%)",
            reason=case.published.model.macs_published_note or "the constant is not the count",
            source=case.published.model.macs_published_source,
        )


def unit_is_impossible(case: PublishedCase) -> Iterator[Finding]:
    """Report throughputs that would exceed the peak if they counted what the document says."""
    loops = case.published.loops
    if loops is None or loops.printed_item == loops.counted_item:
        return
    for table, index, row in flagperf_rows(case):
        again = own_mfu(case, row)
        if again is None:
            continue
        yield Finding(
            rule="unit",
            kind="contradiction",
            where=label(row),
            printed=f"{again.column} {again.throughput} {loops.printed_item}s/s",
            against=f"{again.percent * loops.steps_per_item:.0f}% of the peak",
            reason=f"{loops.steps_per_item} steps a {loops.printed_item} would be that busy; "
            f"the figure counts {loops.counted_item}s ({again.percent:.1f}%)",
            source=loops.source,
            table=table.id,
            rows=(index,),
            column=again.column,
        )


def slower_than_the_framework(case: PublishedCase) -> Iterator[Finding]:
    """Report rows where the compiled engine is slower than the framework's own inference."""
    for table, index, row in flagperf_rows(case):
        for infer, val in (("p_infer_core", "p_val_core"), ("p_infer_whole", "p_val_whole")):
            compiled, own = number(getattr(row, infer)), number(getattr(row, val))
            if compiled is None or own is None or compiled >= own:
                continue
            yield Finding(
                rule="slower-than-framework",
                kind="note",
                where=label(row),
                printed=f"{infer} {compiled}",
                against=f"{val} {own}",
                reason=f"the compiled engine reaches {compiled / own:.2f} of the framework's own",
                table=table.id,
                rows=(index,),
                column=infer,
            )


def whole_above_core(case: PublishedCase) -> Iterator[Finding]:
    """Report a whole throughput above its core throughput, which leaves parts of the same loop out."""
    for table, index, row in flagperf_rows(case):
        for whole, core in (("p_infer_whole", "p_infer_core"), ("p_val_whole", "p_val_core")):
            with_io, without = number(getattr(row, whole)), number(getattr(row, core))
            if with_io is None or without is None or with_io <= without:
                continue
            yield Finding(
                rule="whole-above-core",
                kind="contradiction",
                where=label(row),
                printed=f"{whole} {with_io}",
                against=f"{core} {without}",
                reason="the whole loop contains the core loop and cannot be faster",
                table=table.id,
                rows=(index,),
                column=whole,
            )


RULES = (operations_counted, unit_is_impossible, slower_than_the_framework, whole_above_core)
