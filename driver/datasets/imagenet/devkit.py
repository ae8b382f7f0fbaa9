"""ILSVRC 2012's development kit: the class of each validation picture.

``meta.mat`` maps the kit's class numbers, from 1 in its own order, to WordNet ids;
``ILSVRC2012_validation_ground_truth.txt`` has one such number per line, for the pictures in name
order. Models number the WordNet ids in alphabetical order, from 0.
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from driver.datasets.imagenet.matlab_struct import read_struct
from driver.errors import DataFault
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from driver.datasets.imagenet.entries import Picture

META = "meta.mat"
TRUTH = "ILSVRC2012_validation_ground_truth.txt"
ARCHIVES = ("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12.tar", "ILSVRC2012_devkit_t12.gz")
FOLDERS = (".", "data", "devkit", "devkit/data", "ILSVRC2012_devkit_t12/data")
LARGEST_BYTES = 16 << 20
"""meta.mat has 50 KB, the ground truth 200 KB; what is larger is something else."""

NUMBER = re.compile(r"(\d+)\.[^.]+$")


@dataclass(frozen=True, kw_only=True)
class Devkit:
    """``synsets``: the kit's class number → WordNet id. ``truth``: a class number per picture."""

    where: str
    synsets: dict[int, str]
    truth: tuple[int, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the WordNet ids in the order of the models' class numbers."""
        return tuple(sorted(self.synsets.values()))

    def labels(self, pictures: Sequence[Picture]) -> tuple[int, ...]:
        """Return the class number of each picture; DataFault when pictures and kit do not fit."""
        if len(pictures) != len(self.truth):
            raise DataFault(
                f"{self.where} has {counted(len(self.truth), 'label')} for {counted(len(pictures), 'picture')}",
                "use the complete pictures and kit of the same release",
            )
        rank = {synset: place for place, synset in enumerate(self.classes)}
        return tuple(rank[self.synsets[self.truth[_place(one, len(pictures))]]] for one in pictures)


def find_devkit(folder: Path) -> tuple[bytes, bytes, str] | None:
    """Return the bytes of meta.mat and the ground truth, and their location; None without a kit."""
    for name in ARCHIVES:
        if (folder / name).is_file():
            return _from_archive(folder / name)
    for inner in FOLDERS:
        place = folder / inner
        present = [(place / name).is_file() for name in (META, TRUTH)]
        if any(present):
            return _bytes(place / META), _bytes(place / TRUTH), str(place)
    return None


def read_devkit(folder: Path, classes: int) -> Devkit:
    """Read the kit beside the pictures; DataFault names what is missing or malformed."""
    found = find_devkit(folder)
    if found is None:
        raise DataFault(
            f"{folder} has no development kit: neither {ARCHIVES[0]} nor {META} and {TRUTH}",
            "put ILSVRC2012_devkit_t12.tar.gz (image-net.org) beside the pictures",
        )
    meta, truth, where = found
    synsets = _synsets(meta, classes, where)
    return Devkit(where=where, synsets=synsets, truth=_truth(truth, synsets, where))


def _place(picture: Picture, count: int) -> int:
    """Return a picture's line in the ground truth, from 0, by the number in its name."""
    number = NUMBER.search(picture.name)
    if number is None or not 1 <= int(number[1]) <= count:
        raise DataFault(
            f"the name {picture.name} has no number from 1 to {count}, so its label is unknown",
            "keep the archive's file names, such as ILSVRC2012_val_00000001.JPEG",
        )
    return int(number[1]) - 1


def _synsets(meta: bytes, classes: int, where: str) -> dict[int, str]:
    try:
        # WordNet's inner nodes are listed too; only the leaves are classes.
        numbered = {
            int(row["ILSVRC2012_ID"]): str(row["WNID"])
            for row in read_struct(meta, "synsets")
            if row["num_children"] == 0
        }
    except (KeyError, ValueError, OverflowError) as error:
        raise DataFault(
            f"{META} of {where} cannot be read: {type(error).__name__}: {error}",
            "extract it from the development kit again",
        ) from error
    leaves = {number: numbered[number] for number in range(1, classes + 1) if number in numbered}
    if len(leaves) != classes or len(set(leaves.values())) != classes:
        raise DataFault(
            f"{META} of {where} names only {len(set(leaves.values()))} of {classes} classes",
            "use the development kit of ILSVRC 2012",
        )
    return leaves


def _truth(text: bytes, synsets: dict[int, str], where: str) -> tuple[int, ...]:
    numbers = []
    for line, word in enumerate(text.decode("ascii", errors="replace").split(), start=1):
        if not word.isdecimal() or int(word) not in synsets:
            raise DataFault(
                f"{TRUTH} of {where}, line {line}: {word[:20]!r} is not a class from 1 to {len(synsets)}",
                "extract it from the development kit again",
            )
        numbers.append(int(word))
    return tuple(numbers)


def _from_archive(path: Path) -> tuple[bytes, bytes, str]:
    wanted: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if name not in (META, TRUTH) or not member.isreg() or member.size > LARGEST_BYTES:
                    continue
                stream = archive.extractfile(member)
                wanted[name] = b"" if stream is None else stream.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataFault(
            f"{path} is truncated or not an archive: {error}", "download the development kit again"
        ) from error
    missing = [name for name in (META, TRUTH) if name not in wanted]
    if missing:
        raise DataFault(
            f"{path} lacks {' and '.join(missing)}", "download the development kit again"
        )
    return wanted[META], wanted[TRUTH], str(path)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST_BYTES)
    except OSError as error:
        raise DataFault(
            f"{path.parent} has only one of the development kit's two files: {path.name} is missing",
            f"put both {META} and {TRUTH} there",
        ) from error
