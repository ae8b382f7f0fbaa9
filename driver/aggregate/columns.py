"""Records as Arrow columns, so that 100,000 rows do not take 100,000 Python objects."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from driver.aggregate.problem import ProblemKind, ResultProblem
from driver.aggregate.record import Record
from driver.aggregate.tree import FoundFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa  # type: ignore[import-untyped]

FILE_FIELDS = FoundFile._fields[1:]
PROBLEM_FIELDS = ("problem_kind", "problem_message", "problem_remedy")


@cache
def schema() -> pa.Schema:
    """Return the columns: the fields of Record, the file's state, the problem if it is unusable."""
    import pyarrow as pa

    hints = get_type_hints(Record)
    fields = [pa.field(name, _arrow_type(hints[name])) for name in Record._fields]
    fields += [pa.field(name, pa.int64()) for name in FILE_FIELDS]
    fields += [pa.field(name, pa.string()) for name in PROBLEM_FIELDS]
    return pa.schema(fields)


def _arrow_type(hint: Any) -> pa.DataType:
    import pyarrow as pa

    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if get_origin(inner) is tuple:
            return pa.map_(pa.string(), pa.float64())
        return pa.list_(_arrow_type(inner))
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)]
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[kinds[0]]


def to_table(files: Sequence[FoundFile], outcomes: Sequence[Record | ResultProblem]) -> pa.Table:
    """Return one row per file, in order: its record, or nulls and its problem."""
    import pyarrow as pa

    empty = (None,) * len(Record._fields)
    rows = []
    for file, outcome in zip(files, outcomes, strict=True):
        if isinstance(outcome, ResultProblem):
            row: tuple[Any, ...] = (file.path, *empty[1:], *file[1:], *outcome[1:])
        else:
            row = (*outcome, *file[1:], None, None, None)
        rows.append(row)
    shape = schema()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(shape)
    arrays = [
        pa.array(column, type=field.type) for column, field in zip(columns, shape, strict=True)
    ]
    return pa.table(arrays, schema=shape)


def to_records(table: pa.Table) -> list[Record]:
    """Return the rows as records; meant for the few rows that are shown."""
    columns = [table.column(name).to_pylist() for name in Record._fields]
    tuples = _tuple_fields()
    lists = [index for index, name in enumerate(Record._fields) if name in tuples]
    records = []
    for row in zip(*columns, strict=True):
        values = list(row)
        for index in lists:
            values[index] = tuple(values[index])
        records.append(Record(*values))
    return records


@cache
def _tuple_fields() -> frozenset[str]:
    hints = get_type_hints(Record)
    return frozenset(name for name in Record._fields if get_origin(hints[name]) is tuple)


def to_problems(table: pa.Table) -> list[ResultProblem]:
    """Return the problems of the unusable rows, in their order."""
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    bad = table.filter(pc.is_valid(table.column("problem_kind")))
    columns = [bad.column(name).to_pylist() for name in ("path", *PROBLEM_FIELDS)]
    return [
        ResultProblem(path, ProblemKind(kind), message, remedy)
        for path, kind, message, remedy in zip(*columns, strict=True)
    ]
