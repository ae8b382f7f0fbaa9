"""Records as Arrow columns, so that 100,000 rows do not take 100,000 Python objects.

A text that many results share is stored once and each row refers to it (Arrow's dictionary type): that is
half of the memory, and what is computed of a text is computed once.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from driver.aggregate.problem import ProblemKind, ResultProblem
from driver.aggregate.record import Record
from driver.aggregate.tree import FoundFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow as pa  # type: ignore[import-untyped]
    from numpy.typing import NDArray

FILE_FIELDS = FoundFile._fields[1:]
PROBLEM_FIELDS = ("problem_kind", "problem_message", "problem_remedy")
OF_ONE_RESULT = (
    *("path", "result_id", "digest", "started_utc", "finished_utc", "failure", "gate_reason"),
    *("problem_message",),
)
"""Texts that hardly two results share."""
MOST_RUNS = 64
"""Up to so many runs of rows are put together without copying them."""


@cache
def schema() -> pa.Schema:
    """Return the columns: the fields of Record, the file's state, the problem if it is unusable."""
    import pyarrow as pa

    hints = get_type_hints(Record)
    kinds = {name: _arrow_type(hints[name]) for name in Record._fields}
    kinds |= dict.fromkeys(FILE_FIELDS, pa.int64()) | dict.fromkeys(PROBLEM_FIELDS, pa.string())
    shared = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        pa.field(name, shared if pa.types.is_string(kind) and name not in OF_ONE_RESULT else kind)
        for name, kind in kinds.items()
    )


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


def arranged(parts: list[pa.Table], places: NDArray[np.int64]) -> pa.Table:
    """Return the rows at ``places`` of the parts one after the other, shape [N], in this order.

    Few runs of rows are referred to rather than copied: a result was added to many. Else ``parts`` is
    emptied and copied column by column, so that no more than one column is in memory twice.
    """
    import numpy as np
    import pyarrow as pa

    table = pa.concat_tables([*parts, schema().empty_table()])
    if not places.size:
        return table.slice(0, 0)
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    if breaks.size < MOST_RUNS:
        runs = np.split(places, breaks)
        return pa.concat_tables(
            [table.slice(int(run[0]), run.size) for run in runs]
        ).unify_dictionaries()
    parts.clear()
    rows = pa.array(places)
    copied = []
    for name in schema().names:
        copied.append(table.column(name).take(rows))
        table = table.drop_columns(name)
    return pa.table(copied, schema=schema()).unify_dictionaries()


def to_records(table: pa.Table) -> list[Record]:
    """Return the rows as records; meant for the few rows that are shown."""
    whole = table.combine_chunks()
    tuples = _tuple_fields()
    columns = (
        map(tuple, values) if name in tuples else values
        for name in Record._fields
        for values in (_values(whole.column(name)),)
    )
    return list(map(Record._make, zip(*columns, strict=True)))


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column; a text that rows share is one object."""
    import pyarrow as pa

    if column.null_count == len(column):
        return [None] * len(column)
    if not column.null_count and pa.types.is_primitive(column.type):
        # A tenth of the time that Arrow takes, which makes an object of its own of each value first.
        return list(column.to_numpy().tolist())
    if pa.types.is_map(column.type):
        return [pairs for chunk in column.chunks for pairs in _pairs(chunk)]
    if not pa.types.is_dictionary(column.type):
        return list(column.to_pylist())
    # The last one is for null, whose code is -1.
    return [
        texts[code]
        for chunk in column.chunks
        for texts in ([*chunk.dictionary.to_pylist(), None],)
        for code in chunk.indices.fill_null(-1).to_numpy().tolist()
    ]


def _pairs(maps: pa.MapArray) -> Iterator[list[tuple[str, float]]]:
    import pyarrow as pa

    offsets = maps.offsets.to_numpy()
    # Those of a slice count from the start of the whole array.
    first, last = int(offsets[0]), int(offsets[-1])
    keys = _values(pa.chunked_array([maps.keys[first:last].dictionary_encode()]))
    pairs = list(zip(keys, _values(pa.chunked_array([maps.items[first:last]])), strict=True))
    for start, end in pairwise((offsets - first).tolist()):
        yield pairs[start:end]


def codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return a number for each value, shape [N]: the same for the same value, 0 for null."""
    import numpy as np
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    found = column.combine_chunks().dictionary_encode().indices
    numbers: NDArray[np.int64] = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
    return numbers.astype(np.int64) + 1


@cache
def _tuple_fields() -> frozenset[str]:
    hints = get_type_hints(Record)
    return frozenset(name for name in Record._fields if get_origin(hints[name]) is tuple)


def to_problems(table: pa.Table) -> list[ResultProblem]:
    """Return the problems of the unusable rows, in their order."""
    import pyarrow.compute as pc

    if table.column("problem_kind").null_count == table.num_rows:
        return []
    bad = table.filter(pc.is_valid(table.column("problem_kind")))
    columns = [bad.column(name).to_pylist() for name in ("path", *PROBLEM_FIELDS)]
    return [
        ResultProblem(path, ProblemKind(kind), message, remedy)
        for path, kind, message, remedy in zip(*columns, strict=True)
    ]
