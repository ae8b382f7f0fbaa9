"""Recomputes what the documents print: MFU in both conventions, loop times, ratios, best batches."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from driver.published.cells import number
from driver.results.figures import OPERATIONS_PER_MAC

if TYPE_CHECKING:
    from driver.models.published import FlagperfRow, TableChip, ThroughputTable
    from driver.published.load import PublishedCase


@dataclass(frozen=True, kw_only=True)
class Mfu:
    """A recomputed utilisation and what it was computed from.

    ``percent`` is ``100 × operations_per_item × throughput ÷ peak``; ``throughput`` in items/s,
    ``peak`` in operations/s, ``column`` names the printed throughput.
    """

    percent: Decimal
    column: str
    throughput: Decimal
    operations_per_item: Decimal
    peak: Decimal


def core_throughput(row: FlagperfRow) -> tuple[str, Decimal] | None:
    """Return the row's core throughput: p_infer_core, else p_val_core (rows without a compiler)."""
    for column, printed in (("p_infer_core", row.p_infer_core), ("p_val_core", row.p_val_core)):
        if (value := number(printed)) is not None:
            return column, value
    return None


def published_mfu(case: PublishedCase, row: FlagperfRow) -> Mfu | None:
    """Recompute MFU as the documents do: their constant × core throughput ÷ their peak."""
    constant = case.published.model.macs_published
    peak = case.published.chips[row.chip].published_peaks.get(row.precision)
    return _mfu(row, None if constant is None else Decimal(constant), peak)


def own_mfu(case: PublishedCase, row: FlagperfRow) -> Mfu | None:
    """Recompute MFU as we define it: 2 × MACs × core throughput ÷ dense peak of the arithmetic that ran."""
    peak = case.published.chips[row.chip].peaks.get(row.arithmetic)
    return _mfu(row, Decimal(OPERATIONS_PER_MAC * case.macs), peak)


def _mfu(row: FlagperfRow, operations: Decimal | None, peak: float | None) -> Mfu | None:
    core = core_throughput(row)
    if core is None or operations is None or peak is None:
        return None
    column, throughput = core
    return Mfu(
        percent=100 * operations * throughput / Decimal(peak),
        column=column,
        throughput=throughput,
        operations_per_item=operations,
        peak=Decimal(peak),
    )


def column_mfu(case: PublishedCase, column: TableChip, throughput: Decimal) -> Decimal | None:
    """Return our MFU (%) of a throughput table's figure; None if arithmetic or chips are not stated."""
    if column.arithmetic is None or column.chips is None:
        return None
    peak = case.published.chips[column.chip].peaks.get(column.arithmetic)
    if peak is None:
        return None
    return 100 * OPERATIONS_PER_MAC * case.macs * throughput / (Decimal(peak) * column.chips)


def loop_seconds(case: PublishedCase, row: FlagperfRow) -> Decimal | None:
    """Return the seconds that the loops of validation and inference took, from their whole throughputs.

    ``repeats × dataset items × steps ÷ throughput``, summed over the throughputs that the row prints;
    None if it prints neither.
    """
    loops = case.published.loops
    rates = [number(row.p_val_whole), number(row.p_infer_whole)]
    known = [rate for rate in rates if rate]
    if loops is None or not known:
        return None
    counted = Decimal(loops.repeats * loops.dataset_items * loops.steps_per_item)
    return sum((counted / rate for rate in known), Decimal(0))


def column_values(table: ThroughputTable, printed: str) -> list[Decimal]:
    """Return the throughputs of one printed column, one per batch size."""
    index = [chip.printed for chip in table.chips].index(printed)
    return [value for row in table.rows if (value := number(row.values[index])) is not None]


def ratio(table: ThroughputTable, row_values: tuple[str, ...], ratio_index: int) -> Decimal | None:
    """Return what a ratio column should print in the row with these values."""
    names = [chip.printed for chip in table.chips]
    spec = table.ratios[ratio_index]
    upper = number(row_values[names.index(spec.numerator)])
    lower = number(row_values[names.index(spec.denominator)])
    return upper / lower if upper is not None and lower else None
