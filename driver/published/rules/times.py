"""Rules about e2e_time and about how many items a run could have counted."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING

from driver.published.figures import number
from driver.published.finding import Finding, label
from driver.published.recompute import loop_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase

LOOPS_DIFFER = Decimal("0.05")
"""Loop times this share apart cannot belong to one e2e_time."""


def one_time_for_two_rows(case: PublishedCase) -> Iterator[Finding]:
    """Report two rows that print the same e2e_time although their loops took different times."""
    for table in case.published.flagperf:
        for (i, one), (j, other) in combinations(enumerate(table.rows), 2):
            first, second = loop_seconds(case, one), loop_seconds(case, other)
            if number(one.e2e_time) is None or one.e2e_time != other.e2e_time:
                continue
            if first is None or second is None or abs(first / second - 1) <= LOOPS_DIFFER:
                continue
            yield Finding(
                rule="same-e2e-time",
                kind="contradiction",
                where=f"{label(one)} and {label(other)}",
                printed=f"e2e_time {one.e2e_time} and {other.e2e_time}",
                against=f"their loops sum to {first:.1f} s and {second:.1f} s",
                reason="different loops do not end in one time to the tenth of a second: one of the two "
                "figures seems to be copied",
                table=table.id,
                rows=(i, j),
                column="e2e_time",
            )


def loops_longer_than_everything(case: PublishedCase) -> Iterator[Finding]:
    """Report an e2e_time that is shorter than the loops it contains."""
    for table in case.published.flagperf:
        for index, row in enumerate(table.rows):
            everything, loops = number(row.e2e_time), loop_seconds(case, row)
            if everything is None or loops is None or loops <= everything:
                continue
            yield Finding(
                rule="loops-longer-than-e2e",
                kind="contradiction",
                where=label(row),
                printed=f"e2e_time {row.e2e_time}",
                against=f"loops sum to {loops:.1f} s",
                reason="the whole contains its loops",
                table=table.id,
                rows=(index,),
                column="e2e_time",
            )


def items_dropped(case: PublishedCase) -> Iterator[Finding]:
    """Report batch sizes at which the last, partial batch is dropped, or even the only one."""
    loops = case.published.loops
    if loops is None or not loops.drop_last:
        return
    for table in case.published.flagperf:
        for index, row in enumerate(table.rows):
            batch = int(row.bs)
            counted = loops.dataset_items // batch * batch
            if counted == loops.dataset_items:
                continue
            yield Finding(
                rule="no-full-batch" if not counted else "partial-batch-dropped",
                kind="note" if counted else "contradiction",
                where=label(row),
                printed=f"bs {row.bs}",
                against=f"{counted} of {loops.dataset_items} items",
                reason="the last, partial batch is dropped, so some items are never scored"
                if counted
                else "the dataset is smaller than one batch and partial batches are dropped: "
                "this row was made with other data or another program",
                source=loops.source,
                table=table.id,
                rows=(index,),
                column="bs",
            )


def later_figures(case: PublishedCase) -> Iterator[Finding]:
    """Report where the same project later printed another figure for the same row."""
    for later in case.published.later:
        table = next(table for table in case.published.flagperf if table.id == later.table)
        row = table.rows[later.row]
        for column, value in later.values.items():
            shown = getattr(row, column)
            before, after = number(shown), number(value)
            if before is None or after is None or not _differs(column, before, after):
                continue
            yield Finding(
                rule="later-figure",
                kind="misleading" if column == "mem" else "note",
                where=label(row),
                printed=f"{column} {shown}",
                against=f"{value} later ({after / before:.2f}×)",
                reason="memory was an allocator's reservation, not what the model needs"
                if column == "mem"
                else "the project measured the same row again",
                source=later.source,
                table=table.id,
                rows=(later.row,),
                column=column,
            )


def _differs(column: str, before: Decimal, after: Decimal) -> bool:
    return before != after if column == "acc" else abs(after / before - 1) > LOOPS_DIFFER


RULES = (one_time_for_two_rows, loops_longer_than_everything, items_dropped, later_figures)
