"""Datasets of one picture, repeated: the picture, and the user's golden masks of it where there are some."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from driver import golden_masks
from driver.content import file_sha256
from driver.datasets import SIGNATURES
from driver.errors import DataFault
from driver.layout import require_file, store, write_items, write_labels

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog import Case
    from driver.datasets import IndexedDataset

REMEDY = "DATA=<a JPEG or PNG file>, or a folder with one, or DATA=synthetic"


def index_picture(
    source: Path, *, case: Case, cache: Path, limit: int | None = None
) -> IndexedDataset:
    """Lay a picture out as ``data.count`` items (``limit`` bounds them), written once.

    ``source`` is the picture, or a folder that holds it and perhaps golden masks ``sam_gt_0..2`` (.pt,
    .npy or .png), which only scoring sees. Raises DataFault for no picture, several, no
    image, and masks that are not all three or not of its size.
    """
    path, masks = _find(source, case.manifest.data.suffixes)
    payload = require_file(path, "a picture", REMEDY)
    if not payload.startswith(SIGNATURES):
        raise DataFault(
            f"{path} is not a JPEG or PNG file (it starts with {payload[:8]!r})", REMEDY
        )
    golden_masks.require_fitting(path, masks)
    repeats = min(case.manifest.data.count, limit or case.manifest.data.count)

    def write(folder: Path) -> None:
        write_items(folder / "data", [payload], repeats=repeats)
        write_labels(folder / "labels", [0] * repeats, [path.name] * repeats)
        for mask in masks:
            shutil.copyfile(mask, folder / "labels" / mask.name)

    digests = {file.name: file_sha256(file) for file in (path, *masks)}
    parts = {"files": digests, "repeats": repeats}
    return store(cache, case.manifest.data.dataset, parts, write)


def _find(source: Path, suffixes: tuple[str, ...]) -> tuple[Path, list[Path]]:
    if not source.is_dir():
        return source, []
    files = sorted(entry for entry in source.iterdir() if entry.is_file())
    pictures = [
        file
        for file in files
        if file.suffix.lower() in suffixes and not file.name.startswith(golden_masks.STEM)
    ]
    if len(pictures) != 1:
        names = ", ".join(file.name for file in pictures[:5]) or "none"
        raise DataFault(f"{source} must hold exactly one picture, found: {names}", REMEDY)
    return pictures[0], [file for file in files if file.name in golden_masks.NAMES]
