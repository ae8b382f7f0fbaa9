"""The throughput-by-batch table (documents 003 and 004) in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import UsageFault, unknown
from driver.published.columns import BEST
from driver.published.table import markdown_rows
from driver.seed_formats.admission import admitted, marks
from driver.seed_row import NONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.models.result import Result
    from driver.published.columns import Language

Columns = dict[str, dict[int, float]]


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

    A column is named after its chip, and after engine and precision too where one chip has several.
    ``ratios`` names pairs (numerator, denominator) of columns; by default the first column stands
    against each of the others. Where a cell has several results, the one that finished last counts;
    results whose accuracy failed its gate do not. Document 003 prints 2 digits of a ratio, 004 prints
    8. UsageFault when no result may stand in it, or a ratio names no column.
    """
    kept = admitted(results, simulated=simulated, synthetic=synthetic)
    columns = _columns([result for result in kept if result.status == "ok"])
    if not columns:
        raise UsageFault(
            f"the accuracy of all {len(kept)} result(s) failed its gate",
            "`make report` shows by how much; mend the engine's precision first",
        )
    names = list(columns)
    pairs = [(names[0], other) for other in names[1:]] if ratios is None else ratios
    for name in (name for pair in pairs for name in pair):
        if name not in columns:
            raise unknown("column of the throughput table", name, columns)
    sizes = sorted({size for values in columns.values() for size in values})
    rows = [
        _row(f"bs{size}", {name: columns[name].get(size) for name in names}, pairs, ratio_digits)
        for size in sizes
    ]
    best = {name: max(values.values(), default=None) for name, values in columns.items()}
    rows.append(_row(BEST[language], best, pairs, ratio_digits))
    headers = ["Throughput", *names, *(f"{upper}/{lower}" for upper, lower in pairs)]
    return "\n".join(markdown_rows(headers, rows)) + "\n"


def _columns(results: Sequence[Result]) -> Columns:
    engines: dict[str, set[tuple[str, str]]] = {}
    for result in results:
        engines.setdefault(result.job.chip, set()).add((result.job.engine, result.job.precision))
    columns: Columns = {}
    for result in sorted(results, key=lambda result: result.finished_utc):
        job, value = result.job, result.metrics.p_infer_core
        several = len(engines[job.chip]) > 1
        name = f"{job.chip} {job.engine} {job.precision}" if several else job.chip
        column = columns.setdefault(name + marks(result), {})
        if value is not None:
            column[job.batch_size] = value
    return dict(sorted(columns.items()))


def _row(
    label: str,
    values: dict[str, float | None],
    pairs: Sequence[tuple[str, str]],
    ratio_digits: int,
) -> list[str]:
    ratios = []
    for upper, lower in pairs:
        above, below = values[upper], values[lower]
        missing = above is None or not below
        ratios.append(NONE if missing else f"{(above or 0) / (below or 1):.{ratio_digits}f}")
    return [label, *(_figure(value) for value in values.values()), *ratios]


def _figure(value: float | None) -> str:
    """Print at most four decimals, as the documents do."""
    return NONE if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
