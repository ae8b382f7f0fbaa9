"""Pictures that are already files on disk: one flat folder, or one folder per class."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from driver.datasets.hidden import is_hidden
from driver.datasets.imagenet.entries import Picture
from driver.errors import DataFault
from driver.system.hashing import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Folder:
    """A Reader of files on disk, for which no digest is published."""

    def __init__(self, root: Path, pictures: Sequence[Picture]) -> None:
        self._root = root
        self.pictures = tuple(pictures)

    def identity(self) -> dict[str, object]:
        """Return the folder, and a digest of every file's path, size and mtime."""
        digest = hashlib.sha256()
        for picture in self.pictures:
            if picture.path is not None:
                time_ns = picture.path.stat().st_mtime_ns
                digest.update(f"{picture.path}\0{picture.length}\0{time_ns}\n".encode())
        return {"path": str(self._root.resolve()), "files": key_of({"all": digest.hexdigest()})}

    def read(self, start: int) -> Iterator[bytes]:
        """Yield the files' bytes from position ``start``."""
        for picture in self.pictures[start:]:
            if picture.path is None:
                raise AssertionError(picture)
            try:
                payload = picture.path.read_bytes()
            except OSError as error:
                raise DataFault(
                    f"{picture.path} cannot be read: {error.strerror}", "fix its permissions"
                ) from error
            if len(payload) != picture.length:
                raise DataFault(
                    f"{picture.path} changed while it was read", "run the same command again"
                )
            yield payload

    def verify(self) -> None:
        """Do nothing: no digest is published for loose files."""


def flat_pictures(folder: Path, suffixes: Sequence[str]) -> tuple[Picture, ...]:
    """Return the pictures directly in a folder, by name; DataFault when there is none."""
    found = [
        Picture(name=path.name, length=path.stat().st_size, path=path)
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in suffixes and path.is_file() and not is_hidden(path.name)
    ]
    if not found:
        raise DataFault(
            f"{folder} contains no picture ({', '.join(suffixes)})", "type: SRC=<another folder>"
        )
    return tuple(found)
