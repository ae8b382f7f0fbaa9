"""Printed rows as numbers, so that a result can be compared with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from driver.models.base import Frozen
from driver.models.published import Arithmetic
from driver.published.cells import number, pair
from driver.published.gate import gate_verdicts
from driver.published.recompute import column_mfu, loop_seconds, own_mfu, published_mfu

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from driver.models.published import FlagperfRow
    from driver.published.load import PublishedCase


class PublishedFigure(Frozen):
    """One printed row as numbers; null where it prints none.

    Throughputs in items/s, ``mem_gib`` in GiB, MFU in percent: ``mfu_printed`` is as printed, the two
    others are recomputed. ``title`` is the document's name for the chip, ``known_as`` that of our
    results. ``chips`` is how many chips the figure counts, null if the document does not say.
    ``clock``: ``device`` where a vendor tool's figure leaves out the host.
    """

    case: str
    document: str
    project: str
    table: str
    row: int
    tool: str
    chip: str
    title: str
    known_as: str
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

    @property
    def precision_name(self) -> str:
        """Return the precision as results spell it; empty if the document does not say."""
        return (self.precision or "").lower()

    @property
    def name(self) -> str:
        """Return what a reader calls it."""
        what = f"{self.title} {self.tool} {self.precision_name} bs{self.batch_size}"
        return f"{what} (document {self.document}, {self.project})"


def figures_of(case: PublishedCase) -> list[PublishedFigure]:
    """Return every printed row of one case as numbers."""
    return [*_flagperf_figures(case), *_throughput_figures(case)]


def _flagperf_figures(case: PublishedCase) -> Iterator[PublishedFigure]:
    passed = {(v.table, v.row): v.gate.passed for v in gate_verdicts(case)}
    for table in case.published.flagperf:
        for index, row in enumerate(table.rows):
            yield PublishedFigure(
                **_place(case, table.id, index, row.chip),
                title=case.published.chips[row.chip].title,
                tool=row.tool,
                engine=row.engine,
                precision=row.precision,
                arithmetic=row.arithmetic,
                batch_size=int(row.bs),
                acc_passed=passed.get((table.id, index)),
                **_numbers(_printed(row)),
                **_numbers(_recomputed(case, row)),
            )


def _printed(row: FlagperfRow) -> dict[str, Decimal | None]:
    acc_infer, acc_val = pair(row.acc)
    mem_gib, mem_total_gib = pair(row.mem)
    return {
        "e2e_time_s": number(row.e2e_time),
        "p_val_whole": number(row.p_val_whole),
        "p_val_core": number(row.p_val_core),
        "p_infer_whole": number(row.p_infer_whole),
        "p_infer_core": number(row.p_infer_core),
        "mfu_printed": number(row.mfu),
        "acc_infer": acc_infer,
        "acc_val": acc_val,
        "mem_gib": mem_gib,
        "mem_total_gib": mem_total_gib,
    }


def _recomputed(case: PublishedCase, row: FlagperfRow) -> dict[str, Decimal | None]:
    theirs, ours = published_mfu(case, row), own_mfu(case, row)
    return {
        "mfu_published_convention": theirs.percent if theirs else None,
        "mfu": ours.percent if ours else None,
        "loops_s": loop_seconds(case, row),
    }


def _throughput_figures(case: PublishedCase) -> Iterator[PublishedFigure]:
    for table in case.published.throughput:
        for index, row in enumerate(table.rows):
            if row.batch_size is None:
                continue
            for column, printed in zip(table.chips, row.values, strict=True):
                value = number(printed)
                mfu = None if value is None else column_mfu(case, column, value)
                yield PublishedFigure(
                    **_place(case, table.id, index, column.chip),
                    title=column.printed,
                    tool=column.engine,
                    engine=column.engine,
                    precision=column.arithmetic,
                    arithmetic=column.arithmetic,
                    batch_size=row.batch_size,
                    chips=column.chips,
                    clock="device",
                    **_numbers({"p_infer_core": value, "mfu": mfu}),
                )


def _place(case: PublishedCase, table: str, row: int, chip: str) -> dict[str, Any]:
    """Return where a figure is printed, and of whose chip it is."""
    return {
        "case": case.name,
        "document": case.document,
        "project": case.published.document.project,
        "table": table,
        "row": row,
        "chip": chip,
        "known_as": case.published.chips[chip].known_as,
        "vendor": case.published.chips[chip].vendor,
    }


def _numbers(values: Mapping[str, Decimal | None]) -> dict[str, Any]:
    return {name: None if value is None else float(value) for name, value in values.items()}
