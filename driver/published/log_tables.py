"""Renders what the documents print outside tables: evaluations, and figures drawn from logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published import columns
from driver.published.table import Table
from driver.published.tool_logs import read_benchmark

if TYPE_CHECKING:
    from driver.models.published import TextFigure
    from driver.published.columns import Language
    from driver.published.load import PublishedCase
    from driver.published.marks import Marks

NONE = "/"


def title_of(case: PublishedCase, table: str, language: Language) -> str:
    """Name a table: case, document, and what it shows."""
    return f"{case.name} ({case.document}): {columns.TITLES[table][language]}"


def evaluations_table(case: PublishedCase, language: Language) -> Table:
    """Return the document's statistical evaluations, a row each."""
    evaluations = case.published.evaluations
    top = max(len(item.top) for item in evaluations)
    headers = (*columns.EVALUATION[language], *(columns.TOP.format(k + 1) for k in range(top)))
    return Table(
        case=case.name,
        document=case.document,
        id="evaluations",
        title=title_of(case, "evaluations", language),
        headers=headers,
        rows=tuple(
            (case.published.chips[e.chip].title, str(e.batch_size), e.images, e.classes, *e.top)
            for e in evaluations
        ),
        printed=tuple(range(2, len(headers))),
    )


def drawn_table(case: PublishedCase, marks: Marks, language: Language) -> Table:
    """Return what the text draws from logs, beside the table's figure and the log's whole rate."""
    table = case.published.throughput[0]
    names = {chip.chip: chip.printed for chip in table.chips}
    positions = {row.batch_size: index for index, row in enumerate(table.rows)}
    chips = [chip.chip for chip in table.chips]
    rows = tuple(
        (
            case.published.chips[figure.chip].title,
            str(figure.batch_size),
            figure.measured,
            figure.factor or NONE,
            figure.total,
            table.rows[positions[figure.batch_size]].values[chips.index(figure.chip)],
            _end_to_end(case, figure),
            marks.of_row(table.id, positions[figure.batch_size], names[figure.chip]),
        )
        for figure in case.published.figures
    )
    return Table(
        case=case.name,
        document=case.document,
        id="drawn",
        title=title_of(case, "drawn", language),
        headers=columns.DRAWN[language],
        rows=rows,
        printed=(2, 3, 4, 5, 6),
    )


def _end_to_end(case: PublishedCase, figure: TextFigure) -> str:
    for log in case.published.logs:
        if log.tool == "benchmark" and (log.chip, log.batch_size) == (
            figure.chip,
            figure.batch_size,
        ):
            return str(read_benchmark(log).end_to_end_rate)
    return NONE
