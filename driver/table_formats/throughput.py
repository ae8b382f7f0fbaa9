"""The throughput-by-batch table (documents 003 and 004) in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.aggregate.batches import THROUGHPUT, batch_rows, column_names, columns_of
from driver.aggregate.record import record_of
from driver.aggregate.table_row import NONE
from driver.errors import UsageFault, unknown
from driver.published.columns import BEST
from driver.published.table import markdown_rows
from driver.results.concerns import CORE, MARK
from driver.system.plain_text import counted, plain
from driver.table_formats.admission import admitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.aggregate.batches import ColumnKey, Pair
    from driver.aggregate.record import Record
    from driver.models.result import Result
    from driver.published.columns import Language


def throughput_table(
    results: Iterable[Result],
    language: Language = "zh",
    *,
    ratios: Sequence[tuple[str, str]] | None = None,
    ratio_digits: int = 2,
    simulated: bool = False,
    synthetic: bool = False,
) -> str:
    """Return one row per batch size, one column of p_infer_core (items/s) per chip, and ratios.

    A column is named after its chip, plus whatever else distinguishes the columns. ``ratios`` names
    pairs (numerator, denominator) of columns; by default the first column is divided by each of the
    others. If a cell has several results, the newest counts; results whose accuracy failed its gate
    do not. Document 003 prints 2 digits of a ratio, 004 prints 8. Raises UsageFault if no result may
    enter it, or if a ratio names an unknown column.
    """
    kept = admitted(results, simulated=simulated, synthetic=synthetic)
    records = [record_of(result, "", edited=False) for result in kept if result.status == "ok"]
    columns = columns_of(records)
    if not columns:
        raise UsageFault(
            f"the accuracy of all {counted(len(kept), 'result')} failed its gate",
            "`make report` shows by how much; fix the engine's precision first",
        )
    keys = list(columns)
    names = column_names(keys)
    pairs = _pairs(keys, ratios)
    rows = batch_rows(list(columns.values()), pairs, BEST[language], _figure, ratio_digits)
    headers = [THROUGHPUT, *names, *(f"{names[above]}/{names[below]}" for above, below in pairs)]
    reasons = [_marks(record) for record in records if CORE in record.marked_figures]
    return "\n".join([*markdown_rows(headers, rows), *(["", *reasons] if reasons else [])]) + "\n"


def _marks(record: Record) -> str:
    what = f"{record.chip} {record.engine} {record.precision} bs{record.batch_size}"
    return plain(f"{MARK} {what}: {'; '.join(record.figure_marks)}")


def _pairs(keys: Sequence[ColumnKey], ratios: Sequence[tuple[str, str]] | None) -> list[Pair]:
    if ratios is None:
        others = range(1, len(keys))
        return [(0, other) for other in others if keys[other].marks == keys[0].marks]
    names = column_names(keys)
    for name in (name for pair in ratios for name in pair):
        if name not in names:
            raise unknown("column of the throughput table", name, names)
    return [(names.index(above), names.index(below)) for above, below in ratios]


def _figure(value: float | None) -> str:
    """Return a figure with at most four decimals, as the documents print it."""
    return NONE if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
