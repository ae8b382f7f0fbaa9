"""The seeds' throughput table: a row a batch size, a column a chip, the best batch, ratios of columns."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.groups import SMOKE, row_order
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
    """What a column's figures have in common; ``marks`` say what they are not, "" where nothing."""

    vendor: str
    chip: str
    engine: str
    precision: str
    stack: str
    marks: str = ""


IDENTITY = 5
"""Members of a ColumnKey that name a column, before its marks."""


def key_of(record: Record) -> ColumnKey:
    """Return the column of a record: what was made up never shares one with what was measured."""
    told = (
        ("simulated", record.simulated),
        ("synthetic", record.synthetic),
        ("smoke", record.tier == SMOKE),
    )
    marks = ", ".join(mark for mark, holds in told if holds)
    return ColumnKey(
        record.vendor, record.chip, record.engine, record.precision, record.stack, marks
    )


def columns_of(records: Iterable[Record]) -> dict[ColumnKey, Column]:
    """Return p_infer_core by column and batch size, columns in the order of a table's rows, marked last.

    The newest record that has a figure stands for its batch size.
    """
    columns: dict[ColumnKey, Column] = {}
    newest_last = sorted(records, key=lambda record: (record.started_utc, record.finished_utc))
    for record in sorted(newest_last, key=lambda record: (key_of(record).marks, row_order(record))):
        if record.p_infer_core is not None:
            columns.setdefault(key_of(record), {})[record.batch_size] = record.p_infer_core
    return columns


def column_names(keys: Sequence[ColumnKey]) -> list[str]:
    """Return the chips' names, with as much of vendor, engine, precision, stack as tells them apart.

    Marks stand behind a name: ``310P (simulated, smoke)``.
    """
    told = {key[:IDENTITY] for key in keys}
    telling = [n for n in range(IDENTITY) if n == 1 or len({key[n] for key in told}) > 1]
    if len({key[1] for key in told}) == len(told):
        telling = [1]
    elif 0 in telling and len({key[:2] for key in told}) == len({key[1] for key in told}):
        telling.remove(0)
    names = (" ".join(key[place] for place in telling) for key in keys)
    marks = (f" ({key.marks})" if key.marks else "" for key in keys)
    return [plain(name + mark) for name, mark in zip(names, marks, strict=True)]


def default_pairs(keys: Sequence[ColumnKey]) -> list[Pair]:
    """Return every pair of columns, or each against the first of its marks where there are many.

    Columns that are marked differently have no ratio.
    """
    pairs = [(above, below) for below, above in combinations(range(len(keys)), 2)]
    alike = [(above, below) for above, below in pairs if keys[above].marks == keys[below].marks]
    if len(keys) <= ALL_PAIRS_UP_TO:
        return alike
    firsts = {key.marks: place for place, key in reversed(list(enumerate(keys)))}
    return [(above, below) for above, below in alike if below == firsts[keys[below].marks]]


def named_pairs(keys: Sequence[ColumnKey], wanted: Iterable[str]) -> list[Pair]:
    """Return the pairs that ``wanted`` names: "310P/T4", columns as the table names them.

    A name may leave its marks out: then it stands for the column of each mark that has both.
    """
    names = column_names(keys)
    bare = [name.removesuffix(f" ({key.marks})") for name, key in zip(names, keys, strict=True)]
    places = range(len(keys))
    return [
        (above, below)
        for text in wanted
        for one, _, other in (text.partition("/"),)
        for above in places
        for below in places
        if one in (names[above], bare[above])
        and other in (names[below], bare[below])
        and keys[above].marks == keys[below].marks
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
