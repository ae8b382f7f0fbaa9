"""Recognises the layout of SRC, and reads its pictures' labels.

| SRC | layout |
|---|---|
| the published tar, or a folder with it | pictures in the tar, labels from the development kit beside it |
| ``val/`` flat, and ``val_label.txt`` | document 004 (ModelZoo) |
| ``ILSVRC2012_img_val/`` flat, and the kit's two files | document 003 (ModelZoo) |
| ``val/<class>/`` or ``<class>/`` | an image folder |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.datasets.classes import require_class_count, require_class_names
from driver.datasets.hidden import is_hidden
from driver.datasets.image_folder import list_image_folder
from driver.datasets.imagenet.archive import Archive
from driver.datasets.imagenet.devkit import find_devkit, read_devkit
from driver.datasets.imagenet.entries import Labelled, Picture
from driver.datasets.imagenet.folder import Folder, flat_pictures
from driver.datasets.imagenet.label_file import LABEL_FILE, read_labels
from driver.errors import DataFault, UsageFault

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog.catalog import Case
    from driver.datasets.imagenet.entries import Reader

FLAT_FOLDERS = ("ILSVRC2012_img_val", "val", ".")
MD5 = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A recognised SRC: how to read it, its labels, and ``origin``, what source.json records."""

    layout: str
    reader: Reader
    labelled: Labelled
    origin: dict[str, object]


def open_source(src: Path, case: Case, md5: str | None = None) -> Source:
    """Recognise SRC and read its labels; DataFault says what is missing or does not match.

    ``md5`` replaces the archive's published digest; source.json records it.
    """
    if not src.exists():
        raise DataFault(f"SRC: {src} does not exist", "type: SRC=<the archive, or a folder>")
    archive = _archive_in(src, case)
    if archive is not None:
        return _from_archive(archive, case, md5)
    if md5 is not None:
        raise UsageFault(
            f"MD5 is only for an archive, and SRC={src} is not one",
            "leave MD5 out, or type SRC=<file.tar>",
        )
    if not src.is_dir():
        raise DataFault(
            f"SRC: {src} is neither a folder nor a .tar file", "type: SRC=<the archive>"
        )
    for name in FLAT_FOLDERS:
        if _is_flat(src / name, case):
            return _from_flat(src, src / name, case)
    return _from_image_folder(src, case)


def _archive_in(src: Path, case: Case) -> Path | None:
    if src.is_file() and src.suffix == ".tar":
        return src
    named = case.manifest.data.archive
    inside = src / named.file if named else None
    return inside if inside is not None and inside.is_file() else None


def _from_archive(path: Path, case: Case, md5: str | None) -> Source:
    spec = case.manifest.data
    expected = md5 or (spec.archive.md5 if spec.archive else None)
    if expected is None:
        raise UsageFault(
            f"case.toml of {case.name} names no archive, so {path.name} cannot be verified",
            "type: MD5=<the md5 that its publisher gives>",
        )
    if not MD5.fullmatch(expected):
        raise UsageFault(f"MD5={expected} is not an md5", "give its 32 hexadecimal digits")
    devkit = read_devkit(path.parent, _classes(case))
    reader = Archive(path, expected, spec.suffixes)
    published = spec.archive is not None and expected.lower() == spec.archive.md5.lower()
    return Source(
        layout="archive",
        reader=reader,
        labelled=Labelled(
            pictures=reader.pictures,
            labels=devkit.labels(reader.pictures),
            classes=devkit.classes,
        ),
        origin={"archive": path.name, "md5": expected.lower(), "published": published},
    )


def _is_flat(folder: Path, case: Case) -> bool:
    if not folder.is_dir():
        return False
    return any(
        path.suffix.lower() in case.manifest.data.suffixes
        and path.is_file()
        and not is_hidden(path.name)
        for path in folder.iterdir()
    )


def _from_flat(src: Path, folder: Path, case: Case) -> Source:
    pictures = flat_pictures(folder, case.manifest.data.suffixes)
    labels_at = next((p / LABEL_FILE for p in (src, folder) if (p / LABEL_FILE).is_file()), None)
    classes = _classes(case)
    if labels_at is not None:
        names = _class_names(src, classes)
        labels = read_labels(labels_at, pictures, classes)
        origin: dict[str, object] = {"labels": labels_at.name}
    else:
        kit_at = next((p for p in (src, folder) if find_devkit(p) is not None), src)
        devkit = read_devkit(kit_at, classes)
        names, labels = devkit.classes, devkit.labels(pictures)
        origin = {"labels": "development kit"}
    return Source(
        layout="flat",
        reader=Folder(folder, pictures),
        labelled=Labelled(pictures=pictures, labels=labels, classes=names),
        origin=origin,
    )


def _class_names(src: Path, classes: int) -> tuple[str, ...]:
    """Return the WordNet ids if a development kit is there too, else the numbers as text."""
    if find_devkit(src) is None:
        return tuple(str(number) for number in range(classes))
    return read_devkit(src, classes).classes


def _from_image_folder(src: Path, case: Case) -> Source:
    files, classes = list_image_folder(src, case.manifest.data.suffixes)
    require_class_names(case, src, classes)
    require_class_count(case, src, len(classes))
    pictures = tuple(
        Picture(name=file.path.name, length=file.path.stat().st_size, path=file.path)
        for file in files
    )
    return Source(
        layout="image folder",
        reader=Folder(src, pictures),
        labelled=Labelled(
            pictures=pictures,
            labels=tuple(file.label for file in files),
            classes=tuple(classes),
        ),
        origin={"labels": "class folders"},
    )


def _classes(case: Case) -> int:
    classes = case.manifest.data.classes
    if classes is None:
        raise UsageFault(
            f"case {case.name} has no classes", "choose a classification case: CASE=<name>"
        )
    return classes
