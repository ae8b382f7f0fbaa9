"""A source's pictures in reading order, with their labels, sizes and locations."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One file of a source: its name, its size in bytes, and its location.

    The location is ``offset`` in an archive, or ``path`` on disk.
    """

    name: str
    length: int
    path: Path | None = None
    offset: int = 0


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Pictures in reading order, their class numbers, and the class names."""

    pictures: tuple[Picture, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]

    def name(self, position: int) -> str:
        """Return a picture's name relative to an image folder: ``<class>/<file>``."""
        return f"{self.classes[self.labels[position]]}/{self.pictures[position].name}"


class Reader(Protocol):
    """Reads a source's pictures in their order."""

    @property
    def pictures(self) -> Sequence[Picture]:
        """Return the pictures, in reading order."""

    def identity(self) -> dict[str, object]:
        """Return what identifies this state of the source: path, size, mtime."""

    def read(self, start: int) -> Iterator[bytes]:
        """Yield the pictures' bytes from position ``start``; DataFault when one cannot be read."""

    def verify(self) -> None:
        """Raise DataFault when the bytes read do not match the published digest."""


def blinded_order(pictures: Sequence[Picture]) -> list[int]:
    """Return positions ordered by a hash of the names, which reveals nothing about classes.

    ``driver.datasets.image_folder.list_image_folder`` uses the same order, so that a dataset has one
    digest, whatever form it came in.
    """
    hashes = [hashlib.sha256(picture.name.encode()).digest() for picture in pictures]
    return sorted(range(len(pictures)), key=hashes.__getitem__)
