"""The index of results read before: two files in the cache that make the next report fast.

One has most of the rows, the other the few that were read since it was written: an added result does not
write 100,000 rows again. A row is used only while its file has the same size and change time, whichever of
the two has it. One that is damaged, or that another version of this code wrote, is ignored and replaced.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate import columns, compiled, plausibility, reading, record
from driver.aggregate.problem import ProblemKind
from driver.models import base, job, report, result
from driver.plan import tiers
from driver.results import concerns, origin, roofline, warnings
from driver.system import hashing
from driver.system.files import read_sealed, write_sealed
from driver.system.host import processor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa  # type: ignore[import-untyped]
    from numpy.typing import NDArray

    from driver.aggregate.tree import FoundFiles

RECENT_ROWS = 1000
"""So many rows are written anew with every report before they join the others."""
RECENT_SHARE = 0.02
"""The same as a share of all rows; the larger one counts."""


class Index(NamedTuple):
    """The rows read before: those read since the large file was written, then those of that file."""

    recent: pa.Table
    most: pa.Table


class Update(NamedTuple):
    """What an index lacks: which rows its large file does not have, shape [N]; ``whole`` writes all anew."""

    lacking: NDArray[np.bool_]
    whole: bool


def index_path(home: Path, folders: Sequence[Path]) -> Path:
    """Return the path of these folders' index below ``home`` (ASSAY_HOME): its large file."""
    roots = "\0".join(sorted(str(folder.absolute()) for folder in folders))
    name = hashlib.sha256(os.fsencode(roots)).hexdigest()[:16]
    return home / "cache" / "results-index" / f"{name}.arrow"


def reader_version() -> str:
    """Return the hash of the code that turns a file into a row."""
    models = (base, job, report, result)
    rules = (hashing, processor, plausibility, concerns, origin, roofline, warnings, tiers)
    modules = (*models, *rules, columns, compiled, reading, record)
    whole = hashlib.sha256()
    for module in modules:
        whole.update(Path(module.__file__ or "").read_bytes())
    return whole.hexdigest()


def read_index(path: Path | None) -> Index:
    """Return the index; a file that is missing, damaged or written by another version has no rows."""
    version = reader_version() if path is not None else ""
    return Index(*(_read(one, version) for one in (path and _recent(path), path)))


def _recent(path: Path) -> Path:
    return path.with_suffix(".recent.arrow")


def _read(path: Path | None, version: str) -> pa.Table:
    import pyarrow as pa

    # Arrow believes what it reads: a single changed bit would be a figure.
    content = read_sealed(path, version) if path is not None else None
    if content is None:
        return columns.schema().empty_table()
    with pa.ipc.open_stream(pa.py_buffer(content)) as stream:
        return stream.read_all()


def update(known: Index, places: NDArray[np.int64]) -> Update | None:
    """Return what the index lacks of the rows at these places, None if that is nothing.

    Places beyond the index are those of rows that were read now.
    """
    first, end = known.recent.num_rows, known.recent.num_rows + known.most.num_rows
    lacking = (places < first) | (places >= end)
    outdated = known.most.num_rows - int((~lacking).sum())
    whole = int(lacking.sum()) + outdated > max(RECENT_ROWS, int(RECENT_SHARE * places.size))
    whole = whole or (not known.most.num_rows and bool(places.size))
    return Update(lacking, whole) if whole or (places >= end).any() else None


def write_index(path: Path, table: pa.Table, wanted: Update) -> None:
    """Write the rows that the index lacks, or all of them, of all rows in ``table``.

    Each file is replaced atomically. A home that cannot be written is ignored: it only costs time.
    """
    import pyarrow as pa

    if not wanted.whole:
        _write(_recent(path), table.filter(pa.array(wanted.lacking)))
    elif _write(path, table):
        with suppress(OSError):
            _recent(path).unlink()


def _write(path: Path, table: pa.Table) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    # That a file can be read may change without a change of the file.
    unread = pc.is_in(table.column("problem_kind"), pa.array([ProblemKind.UNREADABLE.value]))
    if pc.any(unread).as_py():
        table = table.filter(pc.invert(unread))
    content = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(content, table.schema, options=options) as stream:
        stream.write_table(table)
    return write_sealed(path, memoryview(content.getvalue()), reader_version())


def places(known: Index, files: FoundFiles) -> NDArray[np.int64]:
    """Return for each file the place of its row in ``recent`` and ``most`` one after the other, or -1.

    A row counts only while the size and change time of its file are those that were read.
    """
    import numpy as np
    import pyarrow as pa

    wanted = pa.table(
        {
            "path": pa.array(files.paths, pa.string()),
            "ctime_ns": np.frombuffer(files.ctimes_ns, np.int64),
            "size": np.frombuffer(files.sizes, np.int64),
        }
    )
    recent, most = (_places(table, wanted) for table in known)
    most[most >= 0] += known.recent.num_rows
    return np.where(recent >= 0, recent, most)


def _places(table: pa.Table, wanted: pa.Table) -> NDArray[np.int64]:
    """Return for each wanted row the place in ``table`` of the one with its path, size and change time, or -1."""
    import numpy as np
    import pyarrow.compute as pc

    found = pc.index_in(wanted.column("path"), table.column("path"))
    rows: NDArray[np.int64] = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
    rows = rows.astype(np.int64)
    if not table.num_rows:
        return rows
    for name in ("ctime_ns", "size"):
        before = table.column(name).to_numpy(zero_copy_only=False)
        rows[before[rows] != wanted.column(name).to_numpy(zero_copy_only=False)] = -1
    return rows
