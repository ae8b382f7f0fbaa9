"""The seeds' throughput table: a row a batch size, a column a chip, the best batch, ratios of columns."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.groups import row_order
from driver.aggregate.text import plain
from driver.seed_row import NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from driver.aggregate.record import Record

Column = dict[int, float]
"""Throughputs in items/s by batch size."""
Pair = tuple[int, int]
"""Two columns by number, numerator and denominator."""

THROUGHPUT = "Throughput"
ALL_PAIRS_UP_TO = 3
"""With more columns each is set against the first only: 6 columns would have 15 ratios."""


class ColumnKey(NamedTuple):
    """What a column's figures have in common."""

    vendor: str
    chip: str
    engine: str
    precision: str
    stack: str


def columns_of(records: Iterable[Record]) -> dict[ColumnKey, Column]:
    """Return p_infer_core by column and batch size, columns in the order of a table's rows.

    The newest record that has a figure stands for its batch size.
    """
    columns: dict[ColumnKey, Column] = {}
    newest_last = sorted(records, key=lambda record: (record.started_utc, record.finished_utc))
    for record in sorted(newest_last, key=row_order):
        key = ColumnKey(*(getattr(record, name) for name in ColumnKey._fields))
        if record.p_infer_core is not None:
            columns.setdefault(key, {})[record.batch_size] = record.p_infer_core
    return columns


def column_names(keys: Sequence[ColumnKey]) -> list[str]:
    """Return the chips' names, with as much of vendor, engine, precision, stack as tells them apart."""
    telling = [place for place in range(5) if place == 1 or len({key[place] for key in keys}) > 1]
    if len({key.chip for key in keys}) == len(keys):
        telling = [1]
    elif 0 in telling and len({key[:2] for key in keys}) == len({key.chip for key in keys}):
        telling.remove(0)
    return [plain(" ".join(key[place] for place in telling)) for key in keys]


def default_pairs(count: int) -> list[Pair]:
    """Return every pair of columns, or each against the first where there are more than three."""
    if count <= ALL_PAIRS_UP_TO:
        return [(above, below) for below, above in combinations(range(count), 2)]
    return [(above, 0) for above in range(1, count)]


def named_pairs(names: Sequence[str], wanted: Iterable[str]) -> list[Pair]:
    """Return the pairs that ``wanted`` names: "310P/T4", columns as the table names them."""
    parted = (text.partition("/") for text in wanted)
    return [
        (names.index(above), names.index(below))
        for above, _, below in parted
        if above in names and below in names
    ]


def batch_rows(
    columns: Sequence[Column],
    pairs: Sequence[Pair],
    best: str,
    show: Callable[[float | None], str],
    ratio_digits: int = 2,
) -> list[tuple[str, ...]]:
    """Return the cells of every batch size, then of the row ``best``; none where there is no column.

    ``show`` prints a throughput, ratios have ``ratio_digits`` decimals.
    """

    def row(label: str, values: Sequence[float | None]) -> tuple[str, ...]:
        ratios = (_ratio(values[above], values[below], ratio_digits) for above, below in pairs)
        return (label, *map(show, values), *ratios)

    sizes = sorted({size for column in columns for size in column})
    rows = [row(f"bs{size}", [column.get(size) for column in columns]) for size in sizes]
    if columns:
        rows.append(row(best, [max(column.values(), default=None) for column in columns]))
    return rows


def _ratio(above: float | None, below: float | None, digits: int) -> str:
    return NONE if above is None or not below else f"{above / below:.{digits}f}"
