"""The throughput-by-batch table (documents 003 and 004) in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.aggregate.batches import THROUGHPUT, batch_rows, column_names, columns_of
from driver.aggregate.record import record_of
from driver.errors import UsageFault, unknown
from driver.published.columns import BEST
from driver.published.table import markdown_rows
from driver.seed_formats.admission import admitted
from driver.seed_row import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.aggregate.batches import ColumnKey, Pair
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
    """Return rows of batch sizes, a column of p_infer_core (items/s) a chip, and ratio columns.

    A column is named after its chip, and after what else tells the columns apart. ``ratios`` names
    pairs (numerator, denominator) of columns; by default the first column stands against each of the
    others. Where a cell has several results, the newest counts; results whose accuracy failed its
    gate do not. Document 003 prints 2 digits of a ratio, 004 prints 8. UsageFault when no result may
    stand in it, or a ratio names no column.
    """
    kept = admitted(results, simulated=simulated, synthetic=synthetic)
    columns = columns_of(
        record_of(result, "", edited=False) for result in kept if result.status == "ok"
    )
    if not columns:
        raise UsageFault(
            f"the accuracy of all {len(kept)} result(s) failed its gate",
            "`make report` shows by how much; mend the engine's precision first",
        )
    keys = list(columns)
    names = column_names(keys)
    pairs = _pairs(keys, ratios)
    rows = batch_rows(list(columns.values()), pairs, BEST[language], _figure, ratio_digits)
    headers = [THROUGHPUT, *names, *(f"{names[above]}/{names[below]}" for above, below in pairs)]
    return "\n".join(markdown_rows(headers, rows)) + "\n"


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
    """Print at most four decimals, as the documents do."""
    return NONE if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
