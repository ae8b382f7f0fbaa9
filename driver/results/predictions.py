"""The digest of a stage's predictions: of their values, whatever program wrote the archive."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Any

from driver.models.result import Predictions
from driver.system.untrusted.arrays import opened_archive, read_header
from driver.system.untrusted.opener import RefusedFile

if TYPE_CHECKING:
    from pathlib import Path

CHUNK_BYTES = 1 << 20


def read_predictions(out: Path, name: str) -> Predictions | None:
    """Return the digest of an .npz in ``out``, read in bounded memory; None where none can be read.

    Two archives have one digest if their arrays have the same names, dtypes, shapes and values.
    """
    whole = hashlib.sha256()
    counts = []
    try:
        with opened_archive(out, name) as archive:
            names = sorted(archive.namelist())
            for member_name in names:
                with archive.open(member_name) as member:
                    size = archive.getinfo(member_name).file_size
                    counts.append(_add(whole, member_name.removesuffix(".npy"), member, size))
    except (RefusedFile, OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    arrays = tuple(name.removesuffix(".npy") for name in names)
    return Predictions(sha256=whole.hexdigest(), arrays=arrays, items=min(counts, default=0))


def _add(whole: Any, name: str, member: IO[bytes], size: int) -> int:
    """Add an array to the digest and return its rows; BadArray for what is no plain array."""
    shape, column_major, dtype = read_header(member, size)
    whole.update(f"{name}\0{dtype.str}\0{shape}\0{column_major}\0".encode())
    while chunk := member.read(CHUNK_BYTES):
        whole.update(chunk)
    return int(shape[0]) if shape else 1
