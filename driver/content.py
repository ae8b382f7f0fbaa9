"""What a thing is made of, as a hash: folders of code, files, and the keys of caches and jobs."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CHUNK_BYTES = 1 << 20
SHA256_DIGITS = 64
_NOT_CODE = frozenset({"__pycache__", "README.md", "published.toml", "weights", "data"})


def key_of(parts: Mapping[str, object]) -> str:
    """Return the sha256 (hex) of a mapping, independent of the order of its keys."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def code_digest(folder: Path) -> str:
    """Return the sha256 of a folder of code: names and bytes of its files, without documents and data."""
    digest = hashlib.sha256()
    for path in sorted(_code_files(folder)):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(file_sha256(path).encode())
    return digest.hexdigest()


def _code_files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name in _NOT_CODE or entry.name.endswith(".pyc"):
            continue
        if entry.is_dir():
            yield from _code_files(entry)
        else:
            yield entry


def remembered_sha256(path: Path, memory: Path) -> str:
    """Return a file's sha256, remembered below ``memory`` while its size and times stay the same.

    Weights of several GB are hashed once, not at every run.
    """
    stat = path.stat()
    key = key_of(
        {
            "path": str(path.resolve()),
            "bytes": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "ctime_ns": stat.st_ctime_ns,
            "inode": stat.st_ino,
        }
    )
    note = memory / key[:2] / key
    if note.is_file():
        remembered = note.read_text(encoding="ascii").strip()
        if len(remembered) == SHA256_DIGITS:
            return remembered
    digest = file_sha256(path)
    note.parent.mkdir(parents=True, exist_ok=True)
    partial = note.with_name(f"{note.name}.{os.getpid()}")
    partial.write_text(digest, encoding="ascii")
    partial.replace(note)
    return digest
