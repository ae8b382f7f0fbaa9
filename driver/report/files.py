"""The rows for analysis: CSV for spreadsheets, Parquet with types."""

from __future__ import annotations

import csv
from itertools import pairwise
from typing import TYPE_CHECKING

from driver.aggregate.record import Record
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa  # type: ignore[import-untyped]

    from driver.aggregate.problem import ResultProblem
    from driver.aggregate.selection import PerJob

CONTROLS = (
    r"[\x00-\x1f\x7f-\x{9f}\x{61c}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{2069}\x{feff}]"
)
CSV_ROWS = 10_000
FORMULA = r"^([=+\-@])"
"""A spreadsheet reads such a cell as a formula; a leading apostrophe keeps it text (OWASP, CSV injection)."""


NEWEST = "newest"
COLUMNS = [*Record._fields, NEWEST]


def with_newest(table: pa.Table, found: PerJob) -> pa.Table:
    """Return the table with a column that says which rows the report shows."""
    import pyarrow as pa

    return table.append_column(NEWEST, pa.array(found.is_shown))


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write the records' columns as Parquet: text unchanged, figures as numbers."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    chosen = table.select(COLUMNS)
    pq.write_table(
        chosen,
        path,
        compression="zstd",
        # Looking for figures that repeat takes longer than all the rest, and makes the file larger.
        use_dictionary=[field.name for field in chosen.schema if _is_shared(field.type)],
        # Without Arrow's own schema: how texts are kept in memory is no part of the file.
        store_schema=False,
    )


def _is_shared(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(kind))


def csv_header(table: pa.Table) -> bytes:
    """Return the first line of the CSV, with the names of the columns."""
    from pyarrow import csv as arrow_csv

    sink = _sink()
    with arrow_csv.CSVWriter(sink, _flat_table(table.select(COLUMNS).slice(0, 0)).schema):
        pass
    return bytes(sink.getvalue())


def csv_texts(table: pa.Table, lengths: Sequence[int]) -> list[memoryview]:
    """Return the rows as CSV, so many in each text: lists joined by "; ", text sanitized, missing figures empty.

    The text of 100,000 rows takes more memory than reading them did: ask for CSV_ROWS at a time.
    """
    from pyarrow import csv as arrow_csv

    flat = _flat_table(table.select(COLUMNS))
    sink, ends, start = _sink(), [0], 0
    options = arrow_csv.WriteOptions(include_header=False)
    with arrow_csv.CSVWriter(sink, flat.schema, write_options=options) as writer:
        for length in lengths:
            writer.write_table(flat.slice(start, length))
            start += length
            ends.append(sink.tell())
    text = memoryview(sink.getvalue())
    return [text[first:last] for first, last in pairwise(ends)]


def _sink() -> pa.BufferOutputStream:
    import pyarrow as pa

    return pa.BufferOutputStream()


def _flat_table(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: _flat(table.column(name)) for name in table.column_names})


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    if pa.types.is_nested(column.type):
        return _joined(column)
    if _is_shared(column.type):
        return _sanitized_once(column)
    if pa.types.is_string(column.type):
        return _sanitized(column)
    return column


def _joined(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return lists as ``a; b``, maps as ``what=1.5; other=2``."""
    import pyarrow as pa

    return _sanitized(pa.chunked_array(map(_joined_lists, column.chunks), pa.string()))


def _joined_lists(lists: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    # The offsets of a slice count from the start of the whole array.
    start, end = lists.offsets[0].as_py(), lists.offsets[-1].as_py()
    if pa.types.is_map(lists.type):
        keys, items = lists.keys[start:end], lists.items[start:end].cast(pa.string())
        texts = pc.binary_join_element_wise(keys, items, "=")
    else:
        texts = lists.values[start:end].cast(pa.string())
    offsets = pc.subtract(lists.offsets, pa.scalar(start, pa.int32()))
    return pc.binary_join(pa.ListArray.from_arrays(offsets, texts), "; ")


def _sanitized_once(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Sanitize each text that rows share once."""
    import pyarrow as pa

    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices, _sanitized(chunk.dictionary))
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, column.type)


def _sanitized(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    shown = pc.replace_substring_regex(column, CONTROLS, "�")
    return pc.replace_substring_regex(shown, FORMULA, r"'\1")


def write_problems(problems: Sequence[ResultProblem], path: Path) -> None:
    """Write every problem as CSV: kind, path, message, remedy."""
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("kind", "path", "message", "remedy"))
        for problem in problems:
            cells = (problem.kind.value, problem.path, problem.message, problem.remedy)
            writer.writerow(_text_cell(cell) for cell in cells)


def _text_cell(text: str) -> str:
    clean = plain(text)
    return f"'{clean}" if clean[:1] in ("=", "+", "-", "@") else clean
