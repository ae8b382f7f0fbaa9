"""The record of a cached folder: the digest of every file in it, checked before the folder is used.

Whatever differs was damaged on this host, by a disk or by a hand: it is never the hook's fault.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from driver.system.files import write_atomically
from driver.system.hashing import remembered_digest
from driver.system.untrusted import documents, opener
from driver.system.untrusted.opener import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

RECORD = "files.json"
SCHEMA = "assay/files/1"
RECORD_LIMIT_BYTES = 64 << 20
LARGEST_FILE_BYTES = 1 << 42
SMALL_BYTES = 64 << 20
"""Up to this size a file is read in every job; a larger one only after its size or times changed."""


def write_record(folder: Path, memory: Path) -> None:
    """Record the digest of every file in ``folder``; written last, it marks the folder as complete.

    ``memory`` is where digests of large files are remembered.
    """
    names = [name for name in opener.files_below(folder) if not _is_own(name)]
    files = {name: digest_of(folder, name, memory) for name in names}
    _write(folder / RECORD, files)


def write_record_of(folder: Path, names: Iterable[str], memory: Path, kept_as: Path) -> None:
    """Record files of a folder that the user named and that is not ours to write, as ``kept_as``."""
    files = {name: digest_of(folder, name, memory, source=Source.USER) for name in names}
    kept_as.parent.mkdir(parents=True, exist_ok=True)
    _write(kept_as, files)


def _write(path: Path, files: Mapping[str, str]) -> None:
    write_atomically(path, json.dumps({"schema": SCHEMA, "files": files}, sort_keys=True))


def has_record(folder: Path) -> bool:
    """Whether the folder has a record, in whatever state it is."""
    return os.path.lexists(folder / RECORD)


def is_complete(folder: Path, marker: str) -> bool:
    """Whether a folder was completely made once: it has a record, or the file that was written last."""
    return has_record(folder) or os.path.lexists(folder / marker)


def damaged(
    folder: Path, memory: Path, *, kept_as: Path | None = None, thorough: bool = False
) -> list[str]:
    """Return the files of a recorded folder that are missing or differ, sorted; ["files.json"] if it does.

    ``thorough``: read large files too, whose size and times have not changed.
    """
    record = kept_as or folder / RECORD
    try:
        document = documents.read_json(
            record.parent, record.name, RECORD_LIMIT_BYTES, source=Source.CACHE
        )
        files = {str(name): str(digest) for name, digest in document["files"].items()}
    except (opener.RefusedFile, OSError, ValueError, KeyError, TypeError, AttributeError):
        return [RECORD]
    source = Source.CACHE if kept_as is None else Source.USER
    return differing(folder, files, memory, source=source, thorough=thorough)


def differing(
    folder: Path,
    files: Mapping[str, str],
    memory: Path,
    *,
    source: Source = Source.CACHE,
    thorough: bool = False,
) -> list[str]:
    """Return those of ``files`` (name → sha256, hex) that are missing in ``folder`` or differ, sorted."""

    def holds(name: str, digest: str) -> bool:
        try:
            return digest_of(folder, name, memory, source=source, thorough=thorough) == digest
        except (opener.RefusedFile, OSError):
            return False

    return sorted(name for name, digest in files.items() if not holds(name, digest))


def digest_of(
    folder: Path,
    name: str,
    memory: Path,
    *,
    source: Source = Source.CACHE,
    thorough: bool = False,
) -> str:
    """Return the sha256 (hex) of a file; raises as ``opener.opened`` does.

    A large file whose size and times are those of an earlier call is not read, unless ``thorough``.
    """
    read_below = LARGEST_FILE_BYTES if thorough else SMALL_BYTES
    with opener.opened(folder, name, LARGEST_FILE_BYTES, source=source) as stream:
        return remembered_digest(stream, folder / name, memory, read_below=read_below)


def _is_own(name: str) -> bool:
    return name == RECORD or name.endswith(".part")
