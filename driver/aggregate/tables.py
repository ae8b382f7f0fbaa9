"""Tables of records: one row of figures per result, or throughput by batch size."""

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
from driver.aggregate.groups import comparable_rows, host_marks, marks, struck
from driver.aggregate.scenarios.rows import SCENARIO_HEADERS, scenario_record
from driver.aggregate.table_row import (
    GENERATION_HEADERS,
    HEADERS,
    METRIC_HEADERS,
    NONE,
    figure,
    generation_record,
    table_figures,
)
from driver.published.columns import ACCURACY, BEST, CHIP, NOTE, ORIGIN
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.aggregate.groups import Group
    from driver.aggregate.record import Record
    from driver.published.columns import Language

IDENTITY_COLUMNS = 4
"""chip, tool, precision, bs: the cells that are not struck out with the figures of a row."""


class Row(NamedTuple):
    """One row; ``struck`` is why its figures do not count, or None; ``path`` is its result.json.

    ``figures`` counts the cells with figures; they come after IDENTITY_COLUMNS. ``marks`` are those of
    its note.
    """

    cells: tuple[str, ...]
    struck: str | None
    path: str
    figures: int = 0
    marks: tuple[str, ...] = ()

    @property
    def shown_figures(self) -> tuple[str, ...]:
        """Return the cells with figures."""
        return self.cells[IDENTITY_COLUMNS : IDENTITY_COLUMNS + self.figures]


class ResultTable(NamedTuple):
    """Headings and rows as text without control characters."""

    headers: tuple[str, ...]
    rows: tuple[Row, ...]

    def as_text(self, strike: str = "~~") -> list[tuple[str, ...]]:
        """Return the cells of the rows, with each figure of a struck row wrapped in ``strike``."""
        return [
            row.cells if row.struck is None else _struck_cells(row, strike) for row in self.rows
        ]


def table(
    records: Sequence[Record],
    language: Language = "en",
    same_id: frozenset[str] = frozenset(),
    *,
    origin: bool = False,
) -> ResultTable:
    """Return the chip, the eleven columns of HEADERS, and a note column if any row has a note.

    With ``origin``, date, host, runner and stack come before the note; else notes name the hosts.
    """
    hosts = [""] * len(records) if origin else host_marks(records, language)
    marked = [marks(record, same_id, language) for record in records]
    crossed = [struck(record, language) for record in records]
    notes = [
        "; ".join(filter(None, [*found, plain(host), why]))
        for found, host, why in zip(marked, hosts, crossed, strict=True)
    ]
    with_notes = any(notes)
    rows = tuple(
        Row(
            cells=(
                *_cells(record),
                *(_origin(record) if origin else ()),
                *((note,) if with_notes else ()),
            ),
            figures=len(HEADERS[language]) - IDENTITY_COLUMNS + 1,
            struck=why,
            path=record.path,
            marks=tuple(found),
        )
        for record, note, found, why in zip(records, notes, marked, crossed, strict=True)
    )
    headings = (CHIP[language], *_headings(records, language))
    headings += ORIGIN[language] if origin else ()
    return ResultTable((*headings, NOTE[language]) if with_notes else headings, rows)


def _headings(records: Sequence[Record], language: Language) -> tuple[str, ...]:
    metrics = {record.acc_metric for record in records}
    name = METRIC_HEADERS.get(metrics.pop(), ACCURACY) if len(metrics) == 1 else ACCURACY
    return tuple(name if heading == ACCURACY else heading for heading in HEADERS[language])


def _cells(record: Record) -> tuple[str, ...]:
    return (*_identity(record), *table_figures(record, record.marked_figures))


def _identity(record: Record) -> tuple[str, ...]:
    texts = (f"{record.vendor} {record.chip}", record.engine, record.precision)
    return (*_plain(texts), str(record.batch_size))


def _origin(record: Record) -> tuple[str, ...]:
    return _plain((record.started_utc[:10], record.host or NONE, record.runner, record.stack))


def _plain(texts: tuple[str, ...]) -> tuple[str, ...]:
    # Most texts are harmless, which takes less to see of all at once.
    whole = "".join(texts)
    return texts if plain(whole) == whole else tuple(map(plain, texts))


def _struck_cells(row: Row, strike: str) -> tuple[str, ...]:
    last = IDENTITY_COLUMNS + row.figures
    crossed = (
        cell if cell == NONE else f"{strike}{cell}{strike}"
        for cell in row.cells[IDENTITY_COLUMNS:last]
    )
    return (*row.cells[:IDENTITY_COLUMNS], *crossed, *row.cells[last:])


def token_table(records: Sequence[Record], language: Language = "en") -> ResultTable:
    """Return the figures of language models among the records: chip, tool, precision, bs, GENERATION_HEADERS.

    Rows whose figures do not count are left out.
    """
    rows = (
        Row((*_identity(record), *generation_record(record)), None, record.path)
        for record in records
        if record.tokens is not None and struck(record, language) is None
    )
    identity = (CHIP[language], *HEADERS[language][: IDENTITY_COLUMNS - 1])
    return ResultTable((*identity, *GENERATION_HEADERS[language]), tuple(rows))


def scenario_table(records: Sequence[Record], language: Language = "en") -> ResultTable:
    """Return the load scenarios among the records: chip, tool, precision, bs, SCENARIO_HEADERS.

    Rows whose figures do not count are left out.
    """
    rows = tuple(
        Row((*_identity(record), *scenario_record(record)), None, record.path)
        for record in records
        if record.scenario is not None and struck(record, language) is None
    )
    identity = (CHIP[language], *HEADERS[language][: IDENTITY_COLUMNS - 1])
    return ResultTable((*identity, *SCENARIO_HEADERS[language]), rows)


# --- throughput by batch size ------------------------------------------------------------------


def batch_table(
    records: Sequence[Record], language: Language = "en", ratios: Iterable[str] = ()
) -> ResultTable:
    """Return p_infer_core (items/s) by batch size: one column per chip, the best batch, ratios.

    A column is named after its chip, and after engine and precision where those differ. ``ratios``
    names the wanted ratios ("310P/T4"); if none matches a pair of columns, ``default_pairs`` chooses.
    """
    return _by_batch(comparable_rows(records), language, ratios)


def _by_batch(
    comparable: Sequence[Record], language: Language, ratios: Iterable[str] = ()
) -> ResultTable:
    columns = columns_of(comparable)
    keys = list(columns)
    names = column_names(keys, language)
    chosen = named_pairs(keys, ratios) or default_pairs(keys)
    rows = batch_rows(list(columns.values()), chosen, BEST[language], figure)
    headers = tuple(f"{names[above]}/{names[below]}" for above, below in chosen)
    return ResultTable(
        (THROUGHPUT, *names, *headers), tuple(Row(cells, None, "") for cells in rows)
    )


# --- all tables of a group ---------------------------------------------------------------------


class Section(NamedTuple):
    """A group with its tables, made once for Markdown and for the page; those without rows are empty."""

    group: Group
    results: ResultTable
    tokens: ResultTable
    scenarios: ResultTable
    batches: ResultTable


def section_of(group: Group, language: Language, same_id: frozenset[str]) -> Section:
    """Return the tables of a group; each row of ``results`` has its origin."""
    return Section(
        group=group,
        results=table(group.records, language, same_id, origin=True),
        tokens=token_table(group.records, language),
        scenarios=scenario_table(group.records, language),
        batches=_by_batch(group.comparable, language),
    )
