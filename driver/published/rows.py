"""Printed rows as numbers, so that a result can be set against them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from driver.models.base import Frozen
from driver.models.published import Arithmetic
from driver.published.figures import number, pair
from driver.published.gate import gate_verdicts
from driver.published.recompute import column_mfu, loop_seconds, own_mfu, published_mfu

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from driver.published.load import PublishedCase


class PublishedFigure(Frozen):
    """One printed row as numbers, so that a result can be set against it; null where it has none.

    Throughputs in items/s, ``mem_gib`` in GiB, MFU in percent; ``mfu_printed`` is as printed, the two
    others are recomputed. ``chips`` is how many chips the figure counts, null where that is unsaid.
    ``clock`` ``device`` marks figures of a vendor tool that leave the host out.
    """

    case: str
    document: str
    table: str
    row: int
    tool: str
    chip: str
    vendor: str
    engine: str
    precision: str | None
    arithmetic: Arithmetic | None
    batch_size: int
    chips: int | None = 1
    clock: Literal["loop", "device"] = "loop"
    e2e_time_s: float | None = None
    p_val_whole: float | None = None
    p_val_core: float | None = None
    p_infer_whole: float | None = None
    p_infer_core: float | None = None
    mfu_printed: float | None = None
    mfu_published_convention: float | None = None
    mfu: float | None = None
    loops_s: float | None = None
    acc_infer: float | None = None
    acc_val: float | None = None
    acc_passed: bool | None = None
    mem_gib: float | None = None
    mem_total_gib: float | None = None


def figures_of(case: PublishedCase) -> list[PublishedFigure]:
    """Return every printed row of one case as numbers."""
    return [*_flagperf_figures(case), *_throughput_figures(case)]


def _flagperf_figures(case: PublishedCase) -> Iterator[PublishedFigure]:
    passed = {(v.table, v.row): v.gate.passed for v in gate_verdicts(case)}
    for table in case.published.flagperf:
        for index, row in enumerate(table.rows):
            theirs, ours = published_mfu(case, row), own_mfu(case, row)
            yield PublishedFigure(
                case=case.name,
                document=case.document,
                table=table.id,
                row=index,
                tool=row.tool,
                chip=row.chip,
                vendor=case.published.chips[row.chip].vendor,
                engine=row.engine,
                precision=row.precision,
                arithmetic=row.arithmetic,
                batch_size=int(row.bs),
                e2e_time_s=_float(number(row.e2e_time)),
                p_val_whole=_float(number(row.p_val_whole)),
                p_val_core=_float(number(row.p_val_core)),
                p_infer_whole=_float(number(row.p_infer_whole)),
                p_infer_core=_float(number(row.p_infer_core)),
                mfu_printed=_float(number(row.mfu)),
                mfu_published_convention=_float(theirs.percent if theirs else None),
                mfu=_float(ours.percent if ours else None),
                loops_s=_float(loop_seconds(case, row)),
                acc_infer=_float(pair(row.acc)[0]),
                acc_val=_float(pair(row.acc)[1]),
                acc_passed=passed.get((table.id, index)),
                mem_gib=_float(pair(row.mem)[0]),
                mem_total_gib=_float(pair(row.mem)[1]),
            )


def _throughput_figures(case: PublishedCase) -> Iterator[PublishedFigure]:
    for table in case.published.throughput:
        for index, row in enumerate(table.rows):
            for column, shown in zip(table.chips, row.values, strict=True):
                if row.batch_size is None:
                    continue
                value = number(shown)
                yield PublishedFigure(
                    case=case.name,
                    document=case.document,
                    table=table.id,
                    row=index,
                    tool=column.printed,
                    chip=column.chip,
                    vendor=case.published.chips[column.chip].vendor,
                    engine=column.engine,
                    precision=column.arithmetic,
                    arithmetic=column.arithmetic,
                    batch_size=row.batch_size,
                    chips=column.chips,
                    clock="device",
                    p_infer_core=_float(value),
                    mfu=_float(None if value is None else column_mfu(case, column, value)),
                )


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
