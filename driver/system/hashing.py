"""Content hashes: of code folders and files, and as keys of caches and jobs."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import PurePath, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from driver.system.files import draft_mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CHUNK_BYTES = 1 << 20
_NOT_CODE = frozenset({"__pycache__", "README.md", "published.toml", "weights", "data"})


def key_of(parts: Mapping[str, object]) -> str:
    """Return the sha256 (hex) of a mapping, independent of key order."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def code_digest(folder: Path) -> str:
    """Return the sha256 (hex) over names and bytes of a folder's files, without documents and data."""
    files = {path.relative_to(folder): file_sha256(path) for path in _code_files(folder)}
    return _digest_of(files)


def digest_of_code(files: Mapping[str, str]) -> str:
    """Return ``code_digest`` of a folder, given its files (relative path → sha256)."""
    paths = {PurePosixPath(name): digest for name, digest in files.items()}
    return _digest_of({path: digest for path, digest in paths.items() if _is_code(path)})


def _is_code(path: PurePath) -> bool:
    return _NOT_CODE.isdisjoint(path.parts) and path.suffix != ".pyc"


def _digest_of(files: Mapping[Any, str]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.as_posix().encode() + b"\0")
        digest.update(files[path].encode())
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
    """Return a file's sha256 (hex), cached below ``memory`` while its size and times are unchanged.

    Weights of several GB are hashed once instead of in every run.
    """
    with path.open("rb") as stream:
        return remembered_digest(stream, path, memory)


def remembered_digest(stream: IO[bytes], path: Path, memory: Path, *, read_below: int = 0) -> str:
    """Return the sha256 (hex) of ``path``, opened as ``stream``, as ``remembered_sha256`` does.

    Files of fewer than ``read_below`` bytes are always read.
    """
    stat = os.fstat(stream.fileno())
    if stat.st_size < read_below:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
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
    if (remembered := _noted(note)) is not None:
        return remembered
    digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    # A disk without room loses the note, which saves time and nothing else.
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        partial = note.with_name(f"{note.name}.{draft_mark()}")
        partial.write_text(f"{digest} {_check(digest)}", encoding="ascii")
        partial.replace(note)
    return digest


def _noted(note: Path) -> str | None:
    """Return the digest in a note, None if there is none or the note was damaged."""
    try:
        digest, check = note.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return digest if check == _check(digest) else None


def _check(digest: str) -> str:
    """Return the checksum of a digest: a damaged note would make a good file look damaged."""
    return hashlib.sha256(digest.encode()).hexdigest()[:8]


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON of a document: sorted keys, no spaces, UTF-8, no NaN.

    Raises ValueError when a number is NaN or infinite: JSON has no such numbers.
    """
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8", "surrogatepass")


def canonical_digest(document: Mapping[str, Any]) -> str:
    """Return the sha256 (hex) of the document's canonical JSON without its own ``digest``."""
    body = {key: value for key, value in document.items() if key != "digest"}
    return hashlib.sha256(canonical_json(body)).hexdigest()
