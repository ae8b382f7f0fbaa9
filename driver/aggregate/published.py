"""Published figures as rows that can be set beside results: numbers from printed cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from driver.published.figures import number, pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from decimal import Decimal

    from driver.models.published import FlagperfRow
    from driver.published.load import PublishedCase


class PublishedFigure(NamedTuple):
    """What others printed for one chip, engine, precision and batch size.

    Throughputs in items/s, ``mfu`` in percent, ``mem_gib`` in GiB; None where nothing is printed.
    ``chips`` is how many chips the throughput counts, None where the document does not say.
    """

    case: str
    document: str
    project: str
    vendor: str
    chip: str
    engine: str
    tool: str
    precision: str
    arithmetic: str | None
    batch_size: int
    chips: int | None
    p_infer_core: float | None
    p_infer_whole: float | None = None
    mfu: float | None = None
    acc_infer: float | None = None
    acc_val: float | None = None
    mem_gib: float | None = None

    @property
    def name(self) -> str:
        """Return what a reader calls it."""
        what = f"{self.chip} {self.tool} {self.precision} bs{self.batch_size}"
        return f"{what} (document {self.document}, {self.project})"


def published_figures(cases: Iterable[PublishedCase]) -> list[PublishedFigure]:
    """Return the rows of every FlagPerf and throughput table, in their order."""
    return [figure for case in cases for part in (_flagperf, _throughput) for figure in part(case)]


def _flagperf(case: PublishedCase) -> Iterator[PublishedFigure]:
    for table in case.published.flagperf:
        for row in table.rows:
            if row.bs.isdigit():
                yield _row(case, row)


def _row(case: PublishedCase, row: FlagperfRow) -> PublishedFigure:
    chip = case.published.chips[row.chip]
    acc_infer, acc_val = pair(row.acc)
    return PublishedFigure(
        case=case.name,
        document=case.document,
        project=case.published.document.project,
        vendor=chip.vendor,
        chip=chip.title,
        engine=row.engine,
        tool=row.tool,
        precision=row.precision.lower(),
        arithmetic=row.arithmetic,
        batch_size=int(row.bs),
        chips=1,
        p_infer_core=_float(number(row.p_infer_core)),
        p_infer_whole=_float(number(row.p_infer_whole)),
        mfu=_float(number(row.mfu)),
        acc_infer=_float(acc_infer),
        acc_val=_float(acc_val),
        mem_gib=_float(pair(row.mem)[0]),
    )


def _throughput(case: PublishedCase) -> Iterator[PublishedFigure]:
    for table in case.published.throughput:
        for row in table.rows:
            if row.batch_size is None:
                continue
            for column, printed in zip(table.chips, row.values, strict=True):
                chip = case.published.chips[column.chip]
                yield PublishedFigure(
                    case=case.name,
                    document=case.document,
                    project=case.published.document.project,
                    vendor=chip.vendor,
                    chip=column.printed,
                    engine=column.engine,
                    tool=column.engine,
                    precision=column.arithmetic or "",
                    arithmetic=column.arithmetic,
                    batch_size=row.batch_size,
                    chips=column.chips,
                    p_infer_core=_float(number(printed)),
                )


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
