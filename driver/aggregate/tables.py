"""The seeds' tables from records: figures by row, throughput by batch size."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Literal, NamedTuple

from driver.aggregate.groups import comparable_rows, marks, row_order, struck
from driver.aggregate.text import plain
from driver.seed_row import HEADERS, NONE, figure, seed_figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.aggregate.record import Record

Language = Literal["en", "zh"]

CHIP = {"en": "chip", "zh": "加速卡"}
NOTE = {"en": "note", "zh": "备注"}
METRIC_HEADERS = {"clip_score": "CLIP Score"}
"""What document 002 prints where the others print ``acc``."""
BEST = {"en": "best batch", "zh": "最优batch"}
THROUGHPUT = "Throughput"
IDENTITY_COLUMNS = 4
"""chip, tool, precision, bs: the cells that stay legible where a row's figures are struck out."""
ALL_PAIRS_UP_TO = 3
"""With more columns each is set against the first only: 6 columns would have 15 ratios."""


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
    name = METRIC_HEADERS.get(metrics.pop(), "acc") if len(metrics) == 1 else "acc"
    return tuple(name if heading == "acc" else heading for heading in HEADERS[language])


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
    records: Sequence[Record], language: Language = "en", pairs: Sequence[tuple[int, int]] = ()
) -> Table:
    """Return p_infer_core by batch size: a column a chip, the best batch, ratios between columns.

    A column is a chip with its engine and precision where those differ. The newest row that counts
    stands for its batch size. ``pairs`` are column numbers (numerator, denominator) from 0; without
    them every pair stands there, or each column against the first where there are more than three.
    """
    counted = [record for record in comparable_rows(records) if record.p_infer_core is not None]
    columns = _columns(counted)
    names = _column_names(list(columns))
    sizes = sorted({record.batch_size for record in counted})
    chosen = list(pairs) or _pairs(len(names))
    rows = [
        _batch_row(f"bs{size}", [column.get(size) for column in columns.values()], chosen)
        for size in sizes
    ]
    best = [max(column.values()) for column in columns.values()]
    if best:
        rows.append(_batch_row(BEST[language], list(best), chosen))
    ratios = tuple(f"{names[above]}/{names[below]}" for above, below in chosen)
    return Table((THROUGHPUT, *names, *ratios), tuple(rows))


_Column = tuple[str, str, str, str, str]


def _columns(records: Sequence[Record]) -> dict[_Column, dict[int, float]]:
    columns: dict[_Column, dict[int, float]] = {}
    newest_last = sorted(records, key=lambda record: record.started_utc)
    for record in sorted(newest_last, key=row_order):
        key = (record.vendor, record.chip, record.engine, record.precision, record.stack)
        if record.p_infer_core is not None:
            columns.setdefault(key, {})[record.batch_size] = record.p_infer_core
    return columns


def _column_names(keys: Sequence[_Column]) -> list[str]:
    """Return the chips' names, with as much of vendor, engine, precision, stack as tells them apart."""
    telling = [place for place in range(5) if place == 1 or len({key[place] for key in keys}) > 1]
    if len({key[1] for key in keys}) == len(keys):
        telling = [1]
    elif 0 in telling and len({(key[0], key[1]) for key in keys}) == len({key[1] for key in keys}):
        telling.remove(0)
    return [plain(" ".join(key[place] for place in telling)) for key in keys]


def _pairs(count: int) -> list[tuple[int, int]]:
    if count <= ALL_PAIRS_UP_TO:
        return [(above, below) for below, above in combinations(range(count), 2)]
    return [(above, 0) for above in range(1, count)]


def _batch_row(label: str, values: Sequence[float | None], pairs: Sequence[tuple[int, int]]) -> Row:
    ratios = [_ratio(values[above], values[below]) for above, below in pairs]
    return Row((label, *(figure(value) for value in values), *ratios), None, "")


def _ratio(above: float | None, below: float | None) -> str:
    return NONE if above is None or below is None else f"{above / below:.2f}"
