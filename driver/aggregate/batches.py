"""The throughput table: one row per batch size, one column per chip, the best batch, column ratios."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.groups import SMOKE, row_order
from driver.aggregate.table_row import NONE, with_mark
from driver.published.chinese import said
from driver.results.concerns import CORE
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from driver.aggregate.record import Record
    from driver.published.columns import Language


class Throughput(NamedTuple):
    """A figure in items/s, and whether a warning concerns it."""

    value: float
    marked: bool = False


Column = dict[int, Throughput]
"""Throughput by batch size."""
Pair = tuple[int, int]
"""The indices of two columns: numerator and denominator."""

THROUGHPUT = "Throughput"
ALL_PAIRS_UP_TO = 3
"""With more columns, ratios are taken to the first one only; 6 columns would give 15 pairs."""


class ColumnKey(NamedTuple):
    """What the figures of a column share. ``marks`` flags them, such as "simulated, smoke", or is ""."""

    vendor: str
    chip: str
    engine: str
    precision: str
    stack: str
    marks: str = ""


IDENTITY = 5
"""How many members of a ColumnKey name the column; its marks follow them."""


def key_of(record: Record) -> ColumnKey:
    """Return the column of a record; marked figures never share a column with measured ones."""
    flags = (
        ("simulated", record.simulated),
        ("synthetic", record.synthetic),
        ("smoke", record.tier == SMOKE),
    )
    marks = ", ".join(mark for mark, holds in flags if holds)
    return ColumnKey(
        record.vendor, record.chip, record.engine, record.precision, record.stack, marks
    )


def columns_of(records: Iterable[Record]) -> dict[ColumnKey, Column]:
    """Return p_infer_core by column and batch size.

    Columns are in the order of a table's rows, marked ones last. Each batch size takes its figure
    from the newest record that has one.
    """
    columns: dict[ColumnKey, Column] = {}
    newest_last = sorted(records, key=lambda record: (record.started_utc, record.finished_utc))
    keyed = [(key_of(record), row_order(record), record) for record in newest_last]
    for key, _, record in sorted(keyed, key=lambda one: (one[0].marks, one[1])):
        if record.p_infer_core is not None:
            found = Throughput(record.p_infer_core, CORE in record.marked_figures)
            columns.setdefault(key, {})[record.batch_size] = found
    return columns


def column_names(keys: Sequence[ColumnKey], language: Language = "en") -> list[str]:
    """Return the chips' names, with vendor, engine, precision and stack only where they differ.

    Marks follow a name: ``310P (simulated, smoke)``.
    """
    identities = {key[:IDENTITY] for key in keys}
    shown = [n for n in range(IDENTITY) if n == 1 or len({key[n] for key in identities}) > 1]
    chips = {key[1] for key in identities}
    if len(chips) == len(identities):
        shown = [1]
    elif 0 in shown and len({key[:2] for key in identities}) == len(chips):
        shown.remove(0)
    names = (" ".join(key[place] for place in shown) for key in keys)
    marks = (f" ({_marks(key, language)})" if key.marks else "" for key in keys)
    return [plain(name + mark) for name, mark in zip(names, marks, strict=True)]


def _marks(key: ColumnKey, language: Language) -> str:
    return ", ".join(said(mark, language) for mark in key.marks.split(", "))


def default_pairs(keys: Sequence[ColumnKey]) -> list[Pair]:
    """Return the pairs of columns that get a ratio.

    Up to ALL_PAIRS_UP_TO columns every pair does; with more, each column with the first one that
    has the same marks. Columns with different marks have no ratio.
    """
    pairs = [(above, below) for below, above in combinations(range(len(keys)), 2)]
    alike = [(above, below) for above, below in pairs if keys[above].marks == keys[below].marks]
    if len(keys) <= ALL_PAIRS_UP_TO:
        return alike
    firsts = {key.marks: place for place, key in reversed(list(enumerate(keys)))}
    return [(above, below) for above, below in alike if below == firsts[keys[below].marks]]


def named_pairs(keys: Sequence[ColumnKey], wanted: Iterable[str]) -> list[Pair]:
    """Return the pairs that ``wanted`` names, such as "310P/T4", by the column names of the table.

    A name without its marks matches the columns of every mark.
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
    """Return one row of cells per batch size, then the row labelled ``best``; [] without columns.

    ``show`` formats a throughput; ratios have ``ratio_digits`` decimals. MARK follows a figure that a
    warning concerns, and every ratio that such a figure is in.
    """

    def row(label: str, values: Sequence[Throughput | None]) -> tuple[str, ...]:
        cells = (
            with_mark(show(found.value), marked=found.marked) if found else show(None)
            for found in values
        )
        ratios = (_ratio(values[above], values[below], ratio_digits) for above, below in pairs)
        return (label, *cells, *ratios)

    sizes = sorted({size for column in columns for size in column})
    rows = [row(f"bs{size}", [column.get(size) for column in columns]) for size in sizes]
    if columns:
        rows.append(row(best, [max(column.values(), default=None) for column in columns]))
    return rows


def _ratio(above: Throughput | None, below: Throughput | None, digits: int) -> str:
    if above is None or below is None or not below.value:
        return NONE
    return with_mark(f"{above.value / below.value:.{digits}f}", marked=above.marked or below.marked)
