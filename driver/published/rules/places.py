"""Where the rules look: rows of FlagPerf tables, cells of throughput tables, logs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from driver.published.cells import number, pair
from driver.published.finding import Place
from driver.published.recompute import column_values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from driver.models.published import (
        FlagperfRow,
        TableChip,
        TextFigure,
        ThroughputTable,
        ToolLog,
    )
    from driver.published.load import PublishedCase


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row of a FlagPerf table; ``index`` counts from 0."""

    table: str
    index: int
    cells: FlagperfRow

    @property
    def memory(self) -> tuple[Decimal | None, Decimal | None]:
        """Return used and total device memory, GiB."""
        return pair(self.cells.mem)

    def number(self, column: str) -> Decimal | None:
        """Return the figure in a column; None where nothing is printed."""
        return number(getattr(self.cells, column))

    def place(self, column: str) -> Place:
        """Return where a cell of this row is."""
        where = self.cells.label
        return Place(where=where, table=self.table, rows=(self.index,), column=column)


def table_rows(case: PublishedCase) -> list[TableRow]:
    """Return every row of the case's FlagPerf tables."""
    return [
        TableRow(table=table.id, index=index, cells=cells)
        for table in case.published.flagperf
        for index, cells in enumerate(table.rows)
    ]


def row_pairs(case: PublishedCase) -> Iterator[tuple[TableRow, TableRow]]:
    """Yield every two rows of one chip in one table, the upper one first."""
    for one, other in combinations(table_rows(case), 2):
        if (one.table, one.cells.chip) == (other.table, other.cells.chip):
            yield one, other


def place_of_pair(one: TableRow, other: TableRow, column: str) -> Place:
    """Return where the cells of one column in two rows are."""
    return Place(
        where=f"{one.cells.label} and {other.cells.label}",
        table=one.table,
        rows=(one.index, other.index),
        column=column,
    )


def columns_of_chips(case: PublishedCase) -> Iterator[tuple[ThroughputTable, TableChip]]:
    """Yield every chip's column of the case's throughput tables that has a figure."""
    for table in case.published.throughput:
        for column in table.chips:
            if column_values(table, column.printed):
                yield table, column


def figures_in(table: ThroughputTable, column: TableChip) -> list[tuple[int, Decimal]]:
    """Return (row, throughput) for every row, counted from 0, that prints one in this column."""
    cells = (number(row.values[table.chips.index(column)]) for row in table.rows)
    return [(index, value) for index, value in enumerate(cells) if value is not None]


def place_in_column(table: ThroughputTable, row: int, column: str) -> Place:
    """Return where a cell of a throughput table is; the best-batch row is behind the last one."""
    label = (*table.rows, table.best)[row].label
    return Place(where=f"{column}, {label}", table=table.id, rows=(row,), column=column)


def logs_of(case: PublishedCase, tool: str) -> Iterator[tuple[Place, ToolLog]]:
    """Yield the excerpts of a tool's logs, each with its place in the text."""
    return ((in_text(log), log) for log in case.published.logs if log.tool == tool)


def in_text(excerpt: ToolLog | TextFigure) -> Place:
    """Return the place of a log or of a figure in the text."""
    where = f"{excerpt.heading}, bs {excerpt.batch_size}"
    return Place(where=where, table=None, rows=(), column=None)
