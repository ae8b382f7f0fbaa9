"""The seeds' tables from records: figures by row, throughput by batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.batches import (
    THROUGHPUT,
    batch_rows,
    column_names,
    columns_of,
    default_pairs,
    named_pairs,
)
from driver.aggregate.groups import comparable_rows, marks, struck
from driver.aggregate.text import plain
from driver.published.columns import ACCURACY, BEST, CHIP, NOTE
from driver.seed_row import HEADERS, METRIC_HEADERS, NONE, figure, seed_figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.aggregate.record import Record
    from driver.published.columns import Language

IDENTITY_COLUMNS = 4
"""chip, tool, precision, bs: the cells that stay legible where a row's figures are struck out."""


class Row(NamedTuple):
    """A table's row; ``struck`` says why its figures do not count, else it is None."""

    cells: tuple[str, ...]
    struck: str | None
    path: str


class Table(NamedTuple):
    """Headings and rows, all as text that is safe to print."""

    headers: tuple[str, ...]
    rows: tuple[Row, ...]

    def as_text(self, strike: str = "~~") -> list[tuple[str, ...]]:
        """Return the rows' cells, with the figures of struck rows between ``strike``."""
        return [
            row.cells if row.struck is None else _struck_cells(row, strike) for row in self.rows
        ]


def table(
    records: Sequence[Record], language: Language = "en", same_id: frozenset[str] = frozenset()
) -> Table:
    """Return the seeds' table: the chip, their eleven columns, and a note where one is due."""
    notes = [_note(record, same_id) for record in records]
    with_notes = any(notes)
    rows = tuple(
        Row(
            cells=(*_cells(record), *((note,) if with_notes else ())),
            struck=struck(record),
            path=record.path,
        )
        for record, note in zip(records, notes, strict=True)
    )
    headings = (CHIP[language], *_headings(records, language))
    return Table((*headings, NOTE[language]) if with_notes else headings, rows)


def _headings(records: Sequence[Record], language: Language) -> tuple[str, ...]:
    metrics = {record.acc_metric for record in records}
    name = METRIC_HEADERS.get(metrics.pop(), ACCURACY) if len(metrics) == 1 else ACCURACY
    return tuple(name if heading == ACCURACY else heading for heading in HEADERS[language])


def _cells(record: Record) -> tuple[str, ...]:
    identity = (f"{record.vendor} {record.chip}", record.engine, record.precision)
    return (*map(plain, identity), str(record.batch_size), *seed_figures(record))


def _note(record: Record, same_id: frozenset[str]) -> str:
    why = struck(record)
    return "; ".join([*marks(record, same_id), *([why] if why else [])])


def _struck_cells(row: Row, strike: str) -> tuple[str, ...]:
    kept, figures = row.cells[:IDENTITY_COLUMNS], row.cells[IDENTITY_COLUMNS:-1]
    crossed = (cell if cell == NONE else f"{strike}{cell}{strike}" for cell in figures)
    return (*kept, *crossed, row.cells[-1])


# --- throughput by batch size ------------------------------------------------------------------


def batch_table(
    records: Sequence[Record], language: Language = "en", ratios: Iterable[str] = ()
) -> Table:
    """Return p_infer_core by batch size: a column a chip, the best batch, ratios between columns.

    A column is a chip with its engine and precision where those differ. ``ratios`` names those wanted
    ("310P/T4"); without one that fits every pair stands there, or each column against the first where
    there are many.
    """
    columns = columns_of(comparable_rows(records))
    keys = list(columns)
    names = column_names(keys)
    chosen = named_pairs(keys, ratios) or default_pairs(keys)
    rows = batch_rows(list(columns.values()), chosen, BEST[language], figure)
    headers = tuple(f"{names[above]}/{names[below]}" for above, below in chosen)
    return Table((THROUGHPUT, *names, *headers), tuple(Row(cells, None, "") for cells in rows))
