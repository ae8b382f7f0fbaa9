"""The FlagPerf table (documents 000 to 002) in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from driver.aggregate.table_row import HEADERS, METRIC_HEADERS, NONE, percent, table_row, with_mark
from driver.published.columns import ACCURACY
from driver.published.table import markdown_rows
from driver.results.concerns import CORE, MARK, marks_of, strikes
from driver.table_formats.admission import admitted, marks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driver.models.result import Result
    from driver.published.columns import Language

Convention = Literal["published", "assay"]

_MFU = HEADERS["zh"].index("*MFU")
_ACCURACY = HEADERS["zh"].index(ACCURACY)


def flagperf_table(
    results: Iterable[Result],
    language: Language = "zh",
    *,
    convention: Convention = "published",
    simulated: bool = False,
    synthetic: bool = False,
) -> str:
    """Return the table of one case's results: eleven columns, "/" for what does not exist.

    ``convention`` chooses the MFU: that of the published documents, which compares with theirs, or
    ours. A result whose accuracy failed its gate, or whose figures cannot be true, is struck out, with
    the reason below the table;
    a figure that a warning concerns has MARK behind it, with the warning below.
    Raises UsageFault if no result may enter it.
    """
    kept = admitted(results, simulated=simulated, synthetic=synthetic)
    headers = list(HEADERS[language])
    headers[_ACCURACY] = METRIC_HEADERS.get(kept[0].metrics.acc_metric, headers[_ACCURACY])
    rows = [_row(result, convention) for result in kept]
    reasons = [_failure(result) for result in kept if result.status == "accuracy_failed"]
    reasons += [_marks(result) for result in kept if marks_of(result).figures]
    return "\n".join([*markdown_rows(headers, rows), *(["", *reasons] if reasons else [])]) + "\n"


def _row(result: Result, convention: Convention) -> list[str]:
    cells = list(table_row(result))
    cells[0] += marks(result)
    if convention == "published":
        value = result.metrics.mfu_published_convention
        cells[_MFU] = with_mark(percent(value), marked=CORE in marks_of(result).figures)
    cells[_ACCURACY] = _their_halves(cells[_ACCURACY])
    if result.status == "accuracy_failed" or strikes(warn.code for warn in result.warnings):
        return [cell if cell == NONE else f"~~{cell}~~" for cell in cells]
    return cells


def _their_halves(cell: str) -> str:
    """Return an accuracy with "-" for a half that is absent, as these documents print it."""
    return f"-/{cell[4:]}" if cell.startswith(f"{NONE} / ") else cell.replace(f" / {NONE}", "/-")


def _marks(result: Result) -> str:
    job = result.job
    return f"{MARK} {job.engine} {job.precision} bs {job.batch_size}: {'; '.join(marks_of(result).texts)}"


def _failure(result: Result) -> str:
    job = result.job
    reason = result.gate.reason if result.gate else "its accuracy failed the gate"
    return f"~~{job.engine} {job.precision} bs {job.batch_size}~~: {reason}"
