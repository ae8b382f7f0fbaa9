"""Rules about device memory."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from driver.published.finding import Finding
from driver.published.rules.places import place_of_pair, row_pairs, table_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase
    from driver.published.rules.places import TableRow

BYTES_OF = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1, "fp8": 1}
"""Bytes per weight in memory, by the arithmetic that uses it."""

GIB = 2**30


def memory_below_weights(case: PublishedCase) -> Iterator[Finding]:
    """Find a used memory that the weights alone exceed."""
    parameters = case.published.model.parameters
    for row in table_rows(case):
        used = row.memory[0]
        weights = Decimal(parameters * BYTES_OF[row.cells.arithmetic]) / GIB
        if used is None or used >= weights:
            continue
        yield Finding(
            **row.place("mem"),
            rule="memory-below-weights",
            kind="contradiction",
            printed=f"mem {row.cells.mem} GiB",
            against=f"{weights:.2f} GiB of weights",
            reason=f"{parameters / 1e6:.1f} M parameters in {row.cells.arithmetic} do not fit",
        )


def memory_above_device(case: PublishedCase) -> Iterator[Finding]:
    """Find a used memory that exceeds the device's."""
    for row in table_rows(case):
        used, total = row.memory
        if used is None or total is None or used <= total:
            continue
        yield Finding(
            **row.place("mem"),
            rule="memory-above-device",
            kind="contradiction",
            printed=f"mem {row.cells.mem} GiB",
            against=f"{total} GiB in total",
            reason="more memory is used than the device has",
        )


def same_memory(case: PublishedCase) -> Iterator[Finding]:
    """Find one memory figure in two rows that differ in precision or batch size."""
    for one, other in row_pairs(case):
        if one.number("mem") is None or one.cells.mem != other.cells.mem:
            continue
        yield Finding(
            **place_of_pair(one, other, "mem"),
            rule="same-memory",
            kind="misleading",
            printed=f"mem {one.cells.mem} and {other.cells.mem}",
            against=f"bs {one.cells.bs} in {one.cells.precision}, "
            f"bs {other.cells.bs} in {other.cells.precision}",
            reason="different jobs need different memory: the figure is an allocator's reservation "
            "or a limit",
        )


def memory_out_of_proportion(case: PublishedCase) -> Iterator[Finding]:
    """Find a full-precision row that uses more than twice the memory of a half-precision row."""
    for pair in row_pairs(case):
        half, full = sorted(pair, key=_bytes)
        more, less = full.memory[0], half.memory[0]
        if full.cells.tool != half.cells.tool or _bytes(full) != 2 * _bytes(half):
            continue
        batches = Decimal(full.cells.bs) / Decimal(half.cells.bs)
        if more is None or less is None or more <= 2 * less * max(batches, Decimal(1)):
            continue
        yield Finding(
            **place_of_pair(full, half, "mem"),
            rule="memory-out-of-proportion",
            kind="note",
            printed=f"mem {full.cells.mem} GiB at bs {full.cells.bs}",
            against=f"{half.cells.mem} GiB at bs {half.cells.bs} in {half.cells.precision}",
            reason=f"{more / less:.1f} times the memory: twice the bytes per number explain a factor "
            "of two at most; the workspace of compilation may be counted",
        )


def _bytes(row: TableRow) -> int:
    return BYTES_OF[row.cells.arithmetic]


RULES = (
    memory_below_weights,
    memory_above_device,
    same_memory,
    memory_out_of_proportion,
)
