"""Tables of what the documents print outside tables: evaluations, and figures derived from logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published import columns
from driver.published.table import Table
from driver.published.tool_logs import read_benchmark

if TYPE_CHECKING:
    from driver.models.published import TextFigure
    from driver.published.columns import Language
    from driver.published.finding import Marks
    from driver.published.load import PublishedCase

NONE = "/"


def title_of(case: PublishedCase, table: str, language: Language) -> str:
    """Name a table: case, document, and what it shows."""
    return f"{case.name} ({case.document}): {columns.TITLES[table][language]}"


def evaluations_table(case: PublishedCase, language: Language) -> Table:
    """Return the document's statistical evaluations, one per row."""
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


def derived_table(case: PublishedCase, marks: Marks, language: Language) -> Table:
    """Return what the text derives from logs, with the table's figure and the log's end-to-end rate."""
    return Table(
        case=case.name,
        document=case.document,
        id="derived",
        title=title_of(case, "derived", language),
        headers=columns.DERIVED[language],
        rows=tuple(
            (
                case.published.chips[figure.chip].title,
                str(figure.batch_size),
                figure.measured,
                figure.factor or NONE,
                figure.total,
                *_in_table(case, figure, marks),
            )
            for figure in case.published.figures
        ),
        printed=(2, 3, 4, 5, 6),
    )


def _in_table(case: PublishedCase, figure: TextFigure, marks: Marks) -> tuple[str, str, str]:
    """Return the throughput table's figure, the log's end-to-end rate, and the table cell's marks."""
    for table in case.published.throughput:
        for column, chip in enumerate(table.chips):
            for index, row in enumerate(table.rows):
                if (chip.chip, row.batch_size) == (figure.chip, figure.batch_size):
                    shown = marks.of_row(table.id, index, chip.printed)
                    return row.values[column], _end_to_end(case, figure), shown
    return NONE, _end_to_end(case, figure), ""


def _end_to_end(case: PublishedCase, figure: TextFigure) -> str:
    for log in case.published.logs:
        if (log.chip, log.batch_size) != (figure.chip, figure.batch_size):
            continue
        if log.tool == "benchmark" and (rate := read_benchmark(log).end_to_end_rate) is not None:
            return str(rate)
    return NONE
