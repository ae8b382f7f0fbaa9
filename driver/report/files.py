"""The rows for those who analyse: CSV for spreadsheets, Parquet with types."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from driver.aggregate.record import Record
from driver.aggregate.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa  # type: ignore[import-untyped]

    from driver.aggregate.problem import Problem

CONTROLS = (
    r"[\x00-\x1f\x7f-\x{9f}\x{61c}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{2069}\x{feff}]"
)
FORMULA = r"^([=+\-@])"
"""A spreadsheet takes such a cell for a formula: an apostrophe keeps it text (OWASP, CSV injection)."""


def parquet_bytes(table: pa.Table) -> bytes:
    """Return the records' columns as Parquet: texts as they are, figures as numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    sink = pa.BufferOutputStream()
    pq.write_table(table.select(list(Record._fields)), sink, compression="zstd")
    return bytes(sink.getvalue())


def csv_bytes(table: pa.Table) -> bytes:
    """Return the records' columns as CSV: lists joined by "; ", texts harmless, absent figures empty."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    columns = {name: _flat(table.column(name)) for name in Record._fields}
    sink = pa.BufferOutputStream()
    arrow_csv.write_csv(pa.table(columns), sink)
    return bytes(sink.getvalue())


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    if pa.types.is_nested(column.type):
        return pa.chunked_array([_joined(column)])
    if pa.types.is_string(column.type):
        return _harmless(column)
    return column


def _joined(column: pa.ChunkedArray) -> pa.Array:
    """Return lists as ``a; b``, maps as ``what=1.5; other=2``."""
    import pyarrow as pa

    def text(value: list[object]) -> str:
        return "; ".join(
            "=".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in value
        )

    joined = pa.chunked_array([[text(value) for value in column.to_pylist()]], pa.string())
    return _harmless(joined).combine_chunks()


def _harmless(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    shown = pc.replace_substring_regex(column, CONTROLS, "�")
    return pc.replace_substring_regex(shown, FORMULA, r"'\1")


def problems_csv(problems: Sequence[Problem]) -> bytes:
    """Return every problem as CSV: kind, file, what, what to do."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("kind", "path", "message", "remedy"))
    for problem in problems:
        cells = (problem.kind.value, problem.path, problem.message, problem.remedy)
        writer.writerow(_text_cell(cell) for cell in cells)
    return text.getvalue().encode("utf-8", "surrogatepass")


def _text_cell(text: str) -> str:
    clean = plain(text)
    return f"'{clean}" if clean[:1] in ("=", "+", "-", "@") else clean
