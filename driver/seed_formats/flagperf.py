"""The FlagPerf table (documents 000 to 002) in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from driver.published.columns import ACCURACY
from driver.published.table import markdown_rows
from driver.seed_formats.admission import admitted, marks
from driver.seed_row import HEADERS, METRIC_HEADERS, NONE, seed_row

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

    ``convention`` chooses the MFU: the documents' own (so that it can be set beside theirs), or ours.
    A result whose accuracy failed its gate is struck out, with the reason below the table.
    UsageFault when no result may stand in it.
    """
    kept = admitted(results, simulated=simulated, synthetic=synthetic)
    headers = list(HEADERS[language])
    headers[_ACCURACY] = METRIC_HEADERS.get(kept[0].metrics.acc_metric, headers[_ACCURACY])
    rows = [_row(result, convention) for result in kept]
    reasons = [_failure(result) for result in kept if result.status == "accuracy_failed"]
    return "\n".join([*markdown_rows(headers, rows), *(["", *reasons] if reasons else [])]) + "\n"


def _row(result: Result, convention: Convention) -> list[str]:
    cells = list(seed_row(result))
    cells[0] += marks(result)
    if convention == "published":
        value = result.metrics.mfu_published_convention
        cells[_MFU] = NONE if value is None else f"{value:.1f}%"
    if result.status == "accuracy_failed":
        return [cell if cell == NONE else f"~~{cell}~~" for cell in cells]
    return cells


def _failure(result: Result) -> str:
    job = result.job
    reason = result.gate.reason if result.gate else "its accuracy failed the gate"
    return f"~~{job.engine} {job.precision} bs {job.batch_size}~~: {reason}"
