"""Rules that compare the parts of a document: text and table, figures and environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published.cells import number
from driver.published.finding import Finding
from driver.published.rules.places import table_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase


def text_against_table(case: PublishedCase) -> Iterator[Finding]:
    """Find figures of the text for which the table prints another one."""
    for table in case.published.throughput:
        columns = {column.chip: i for i, column in enumerate(table.chips)}
        rows = {row.batch_size: i for i, row in enumerate(table.rows)}
        for figure in case.published.figures:
            index, column = rows.get(figure.batch_size), columns.get(figure.chip)
            if index is None or column is None:
                continue
            row, derived = table.rows[index], number(figure.total)
            printed = number(row.values[column])
            if derived is None or printed is None or derived == printed:
                continue
            yield Finding(
                where=f"{figure.heading} and {table.heading}, {row.label}",
                table=table.id,
                rows=(index,),
                column=table.chips[column].printed,
                rule="text-against-table",
                kind="contradiction",
                printed=f"table {row.values[column]}",
                against=f"text {figure.total} ({100 * (derived / printed - 1):+.1f}%)",
                reason="text and table come from different runs",
            )


def environments_and_figures(case: PublishedCase) -> Iterator[Finding]:
    """Find chips with figures but no environment, and environments of chips without figures."""
    with_figures = _chips_with_figures(case)
    listed = {chip: item for item in case.published.environments for chip in item.chips}
    for chip, (table, rows) in with_figures.items():
        if chip not in listed:
            yield Finding(
                where=case.published.chips[chip].title,
                table=table,
                rows=rows,
                rule="no-environment",
                kind="note",
                printed=f"{len(rows)} row{'s' * (len(rows) > 1)}" if rows else "a column",
                against="no environment",
                reason="the document does not state driver, tool version and host of these figures",
            )
    for chip, item in listed.items():
        if chip not in with_figures:
            yield Finding(
                where=item.heading,
                rule="no-figures",
                kind="contradiction",
                printed=case.published.chips[chip].title,
                against="no row",
                reason="the document lists this environment and prints no figure for it",
            )


def _chips_with_figures(case: PublishedCase) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return, by chip, the table that has its figures and the rows (none: a column)."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for row in table_rows(case):
        _, rows = found.get(row.cells.chip, (row.table, ()))
        found[row.cells.chip] = (row.table, (*rows, row.index))
    for table in case.published.throughput:
        for column in table.chips:
            found.setdefault(column.chip, (table.id, ()))
    return found


RULES = (
    text_against_table,
    environments_and_figures,
)
