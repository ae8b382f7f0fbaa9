"""What a source holds: pictures with labels, lengths and places, in the order in which they are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One file of a source: its own name, its length in bytes, and where it lies.

    ``offset`` is its place in an archive; for a file on disk ``path`` says where it is.
    """

    name: str
    length: int
    path: Path | None = None
    offset: int = 0


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Pictures in reading order, the class of each by number, and the classes' names."""

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
        """Return what there is to read."""

    def identity(self) -> dict[str, object]:
        """Return what tells this source from another state of it: path, size, time."""

    def read(self, start: int) -> Iterator[bytes]:
        """Yield the pictures' bytes from position ``start`` on; DataFault when one cannot be read."""

    def verify(self) -> None:
        """Raise DataFault when what was read is not what its maker handed out."""


def blinded_order(pictures: Sequence[Picture]) -> list[int]:
    """Return positions in the order of a hash of the names: it tells nothing of classes.

    It is the order of ``driver.datasets.list_image_folder``, so that a dataset has one digest,
    whatever form it came in.
    """
    hashes = [hashlib.sha256(picture.name.encode()).digest() for picture in pictures]
    return sorted(range(len(pictures)), key=hashes.__getitem__)
