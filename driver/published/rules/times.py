"""Rules about throughputs and times: parts and wholes, copied figures, slow engines."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from driver.published.finding import Finding
from driver.published.recompute import loop_seconds
from driver.published.rules.places import place_of_pair, row_pairs, table_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase

LOOPS_DIFFER = Decimal("0.05")
"""Loop times that differ by more than this share cannot belong to the same e2e_time."""


def whole_above_core(case: PublishedCase) -> Iterator[Finding]:
    """Find a whole throughput above the core throughput, which leaves out parts of the same loop."""
    for row in table_rows(case):
        for loop in ("p_infer", "p_val"):
            whole, core = row.number(f"{loop}_whole"), row.number(f"{loop}_core")
            if whole is None or core is None or whole <= core:
                continue
            yield Finding(
                **row.place(f"{loop}_whole"),
                rule="whole-above-core",
                kind="contradiction",
                printed=f"{loop}_whole {whole}",
                against=f"{loop}_core {core}",
                reason="the whole loop contains the core loop and cannot be faster",
            )


def loops_longer_than_e2e(case: PublishedCase) -> Iterator[Finding]:
    """Find an e2e_time that is shorter than the loops it contains."""
    for row in table_rows(case):
        e2e, loops = row.number("e2e_time"), loop_seconds(case, row.cells)
        if e2e is None or loops is None or loops <= e2e:
            continue
        yield Finding(
            **row.place("e2e_time"),
            rule="loops-longer-than-e2e",
            kind="contradiction",
            printed=f"e2e_time {row.cells.e2e_time}",
            against=f"loops sum to {loops:.1f} s",
            reason="the end-to-end time contains the loops",
        )


def same_time(case: PublishedCase) -> Iterator[Finding]:
    """Find two rows that print the same e2e_time although their loops took different times."""
    for one, other in row_pairs(case):
        first, second = loop_seconds(case, one.cells), loop_seconds(case, other.cells)
        if one.number("e2e_time") is None or one.cells.e2e_time != other.cells.e2e_time:
            continue
        if first is None or second is None or abs(first / second - 1) <= LOOPS_DIFFER:
            continue
        yield Finding(
            **place_of_pair(one, other, "e2e_time"),
            rule="same-e2e-time",
            kind="contradiction",
            printed=f"e2e_time {one.cells.e2e_time} and {other.cells.e2e_time}",
            against=f"their loops sum to {first:.1f} s and {second:.1f} s",
            reason="runs with different loop times do not end after the same time to a tenth of a "
            "second: one of the two figures seems to be copied",
        )


def slower_than_framework(case: PublishedCase) -> Iterator[Finding]:
    """Find rows where the compiled engine is slower than the framework's own inference."""
    for row in table_rows(case):
        for loop in ("core", "whole"):
            infer, validate = row.number(f"p_infer_{loop}"), row.number(f"p_val_{loop}")
            if infer is None or validate is None or infer >= validate:
                continue
            yield Finding(
                **row.place(f"p_infer_{loop}"),
                rule="slower-than-framework",
                kind="note",
                printed=f"p_infer_{loop} {infer}",
                against=f"p_val_{loop} {validate}",
                reason=f"the compiled engine reaches {infer / validate:.2f} of the framework's own "
                "throughput",
            )


RULES = (
    whole_above_core,
    loops_longer_than_e2e,
    same_time,
    slower_than_framework,
)
