"""The index of results read before: a Parquet file in the cache that makes the next report fast.

A row is used only while its file has the same size and change time. An index that is damaged, or
that another version of this code wrote, is rebuilt.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from driver.aggregate import columns, compiled, plausibility, reading, record
from driver.models import base, job, report, result
from driver.plan import tiers
from driver.results import concerns, origin, roofline, warnings
from driver.system import hashing
from driver.system.host import processor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa  # type: ignore[import-untyped]

    from driver.aggregate.tree import FoundFile

VERSION_KEY = b"assay.reader"


def index_path(home: Path, folders: Sequence[Path]) -> Path:
    """Return the path of these folders' index below ``home`` (ASSAY_HOME)."""
    roots = "\0".join(sorted(str(folder.absolute()) for folder in folders))
    name = hashlib.sha256(os.fsencode(roots)).hexdigest()[:16]
    return home / "cache" / "results-index" / f"{name}.parquet"


def reader_version() -> str:
    """Return the hash of the code that turns a file into a row."""
    models = (base, job, report, result)
    rules = (hashing, processor, plausibility, concerns, origin, roofline, warnings, tiers)
    modules = (*models, *rules, columns, compiled, reading, record)
    whole = hashlib.sha256()
    for module in modules:
        whole.update(Path(module.__file__ or "").read_bytes())
    return whole.hexdigest()


def read_index(path: Path) -> pa.Table | None:
    """Return the index, or None if it is missing, damaged or written by another version."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):
        return None
    metadata = table.schema.metadata or {}
    if metadata.get(VERSION_KEY) != reader_version().encode():
        return None
    return table.replace_schema_metadata(None)


def write_index(path: Path, table: pa.Table) -> None:
    """Replace the index atomically. A home that cannot be written is ignored: it only costs time."""
    import pyarrow.parquet as pq

    marked = table.replace_schema_metadata({VERSION_KEY: reader_version()})
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(marked, draft, compression="zstd", compression_level=1)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()


def split(
    table: pa.Table | None, files: Sequence[FoundFile]
) -> tuple[pa.Table | None, list[FoundFile]]:
    """Return the rows of the index that are still valid, and the files that must be read."""
    if table is None:
        return None, list(files)
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    found = pc.index_in(pa.array([file.path for file in files], pa.string()), table.column("path"))
    rows = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    same = rows >= 0
    for name in ("ctime_ns", "size"):
        now = np.fromiter((getattr(file, name) for file in files), np.int64, len(files))
        before = table.column(name).to_numpy(zero_copy_only=False)
        same &= before[rows] == now if len(before) else same
    fresh = [file for file, known in zip(files, same, strict=True) if not known]
    kept = rows[same]
    if np.array_equal(kept, np.arange(table.num_rows)):
        return table, fresh
    return table.take(pa.array(kept, pa.int64())), fresh
