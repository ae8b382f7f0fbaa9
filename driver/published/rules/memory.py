"""Rules about device memory."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations, permutations
from typing import TYPE_CHECKING

from driver.published.figures import number, pair
from driver.published.finding import Finding, label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.published import FlagperfRow
    from driver.published.load import PublishedCase

BYTES_OF = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1, "fp8": 1}
"""Bytes a weight takes in memory, by the arithmetic that uses it."""

GIB = 2**30


def below_the_weights(case: PublishedCase) -> Iterator[Finding]:
    """Report a used memory that the weights alone exceed, or that exceeds the device's."""
    for table in case.published.flagperf:
        for index, row in enumerate(table.rows):
            used, total = pair(row.mem)
            if used is None:
                continue
            weights = Decimal(case.published.model.parameters * BYTES_OF[row.arithmetic]) / GIB
            if used >= weights and (total is None or used <= total):
                continue
            too_small = used < weights
            yield Finding(
                rule="memory-below-weights" if too_small else "memory-above-device",
                kind="contradiction",
                where=label(row),
                printed=f"mem {row.mem} GiB",
                against=f"{weights:.2f} GiB of weights" if too_small else f"{total} GiB in all",
                reason=f"{case.published.model.parameters / 1e6:.1f} M parameters in "
                f"{row.arithmetic} do not fit"
                if too_small
                else "more is used than there is",
                table=table.id,
                rows=(index,),
                column="mem",
            )


def same_for_two_rows(case: PublishedCase) -> Iterator[Finding]:
    """Report one memory figure for two rows that differ in precision or batch size."""
    for table in case.published.flagperf:
        for (i, one), (j, other) in combinations(enumerate(table.rows), 2):
            if one.mem != other.mem or number(one.mem) is None or one.chip != other.chip:
                continue
            yield Finding(
                rule="same-memory",
                kind="misleading",
                where=f"{label(one)} and {label(other)}",
                printed=f"mem {one.mem} and {other.mem}",
                against=f"bs {one.bs} in {one.precision}, bs {other.bs} in {other.precision}",
                reason="different jobs need different memory: the figure is an allocator's "
                "reservation or a limit",
                table=table.id,
                rows=(i, j),
                column="mem",
            )


def more_for_less(case: PublishedCase) -> Iterator[Finding]:
    """Report a full-precision row that uses more than twice a half-precision row's memory."""
    for table in case.published.flagperf:
        for (i, full), (j, half) in permutations(enumerate(table.rows), 2):
            if not _comparable(full, half):
                continue
            more, less = pair(full.mem)[0], pair(half.mem)[0]
            batches = Decimal(full.bs) / Decimal(half.bs)
            if more is None or less is None or more <= 2 * less * max(batches, Decimal(1)):
                continue
            yield Finding(
                rule="memory-out-of-proportion",
                kind="note",
                where=f"{label(full)} and {label(half)}",
                printed=f"mem {full.mem} GiB at bs {full.bs}",
                against=f"{half.mem} GiB at bs {half.bs} in {half.precision}",
                reason=f"{more / less:.1f} times the memory: twice the bytes a number "
                "explain a factor of two at most; compile workspace may be counted",
                table=table.id,
                rows=(i, j),
                column="mem",
            )


def _comparable(full: FlagperfRow, half: FlagperfRow) -> bool:
    same_place = (full.chip, full.tool) == (half.chip, half.tool)
    return same_place and BYTES_OF[full.arithmetic] == 2 * BYTES_OF[half.arithmetic]


RULES = (below_the_weights, same_for_two_rows, more_for_less)
