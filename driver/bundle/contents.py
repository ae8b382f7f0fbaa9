"""What goes into a bundle: files of this host by their path in the archive, each with its digest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.bundle.loader.faults import BundleFault
from driver.bundle.loader.manifest import require_path
from driver.errors import DataFault
from driver.system.hashing import remembered_sha256

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.bundle import BundleRole

THREADS = 2
ORDER = ("oci-layout", "index.json", "manifest.json")
"""The head of an OCI image layout, and of `docker load`'s archives, comes before the blobs."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """One file: its path in the bundle, and the file of this host, or the bytes, that it is made of."""

    path: str
    source: Path | bytes
    role: BundleRole
    executable: bool = False


@dataclass(frozen=True, kw_only=True)
class Hashed:
    """A content with its size and sha256, as it was when it was hashed."""

    content: Content
    bytes: int
    sha256: str
    mtime_ns: int | None = None


def folder_contents(
    folder: Path, prefix: str, role: BundleRole, *, leave_out: Iterable[str] = ()
) -> list[Content]:
    """Return every file below ``folder`` as ``<prefix>/<relative path>``; links are refused.

    Raises DataFault for a link or a special file: what it points to is not part of the folder.
    """
    skipped = frozenset(leave_out)
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in skipped)
        here = folder.__class__(parent)
        for name in (*folders, *sorted(files)):
            path = here / name
            if name in folders and not path.is_symlink():
                continue
            if name in skipped:
                continue
            found.append(
                file_content(path, f"{prefix}/{path.relative_to(folder).as_posix()}", role)
            )
    return found


def file_content(path: Path, name: str, role: BundleRole) -> Content:
    """Return one plain file as a content; DataFault for anything else."""
    if path.is_symlink() or not path.is_file():
        raise DataFault(
            f"{path} is a link or no plain file: a bundle holds files only",
            "put the file itself in its place",
        )
    executable = bool(path.stat().st_mode & 0o100)
    return Content(path=name, source=path, role=role, executable=executable)


def ordered(contents: Iterable[Content]) -> list[Content]:
    """Return contents in the archive's order: the image layout's head, then by path.

    One path with the same file twice is kept once. Raises DataFault for a path that no bundle may have.
    """
    by_path: dict[str, Content] = {}
    for content in contents:
        try:
            require_path(content.path)
        except BundleFault as fault:
            raise DataFault(fault.message, fault.remedy) from fault
        by_path.setdefault(content.path, content)
    rank = {name: place for place, name in enumerate(ORDER)}
    return sorted(by_path.values(), key=lambda one: (rank.get(one.path, len(ORDER)), one.path))


def hash_contents(
    contents: Iterable[Content],
    *,
    memory: Path,
    known: Mapping[str, str],
    on_done: Callable[[Hashed], None],
) -> list[Hashed]:
    """Return every content with size and sha256, in order; a file hashed before is not read again.

    ``known`` maps paths in the bundle to digests that are certain already (blobs are named by theirs).
    """

    def one(content: Content) -> Hashed:
        if isinstance(content.source, bytes):
            hashed = _of_bytes(content, content.source)
        else:
            stat = content.source.stat()
            digest = known.get(content.path) or remembered_sha256(content.source, memory)
            hashed = Hashed(
                content=content, bytes=stat.st_size, sha256=digest, mtime_ns=stat.st_mtime_ns
            )
        on_done(hashed)
        return hashed

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, contents))


def _of_bytes(content: Content, data: bytes) -> Hashed:
    import hashlib

    return Hashed(content=content, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
