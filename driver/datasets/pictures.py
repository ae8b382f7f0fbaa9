"""Datasets of one repeated picture, with the user's golden masks, if any."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from driver.datasets import golden_masks
from driver.datasets.hidden import is_hidden
from driver.datasets.image_folder import SIGNATURES
from driver.datasets.store import require_file, store, write_items, write_labels
from driver.errors import DataFault
from driver.system.hashing import file_sha256

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog.catalog import Case
    from driver.datasets.prepared import IndexedDataset
    from driver.models.case import DataSpec, MaskSpec

REMEDY = "type DATA=<a JPEG or PNG file, or a folder with one>, or DATA=synthetic"


def index_picture(
    source: Path, *, case: Case, cache: Path, limit: int | None = None
) -> IndexedDataset:
    """Index a picture as ``data.count`` items, at most ``limit``; its bytes are stored once.

    ``source`` is the picture, or a folder with it and optional golden masks (``data.masks``), which
    only scoring sees. Raises DataFault unless there is exactly one picture, it is a JPEG or PNG, and
    its masks are complete and of its size.
    """
    spec = case.manifest.data
    path, masks = _find(source, spec)
    payload = require_file(path, "a picture", REMEDY)
    if not payload.startswith(SIGNATURES):
        raise DataFault(
            f"{path} is not a JPEG or PNG file (it starts with {payload[:8]!r})", REMEDY
        )
    golden_masks.require_fitting(path, masks, spec.masks)
    repeats = min(spec.count, limit or spec.count)

    def write(folder: Path) -> None:
        write_items(folder / "data", [payload], repeats=repeats)
        write_labels(folder / "labels", [0] * repeats, [path.name] * repeats)
        for mask in masks:
            shutil.copyfile(mask, folder / "labels" / mask.name)

    digests = {file.name: file_sha256(file) for file in (path, *masks)}
    parts = {"files": digests, "repeats": repeats}
    return store(cache, case.manifest.data.dataset, parts, write)


def _find(source: Path, spec: DataSpec) -> tuple[Path, list[Path]]:
    if not source.is_dir():
        return source, []
    files = sorted(
        entry for entry in source.iterdir() if entry.is_file() and not is_hidden(entry.name)
    )
    masks = () if spec.masks is None else spec.masks.names()
    pictures = [
        file
        for file in files
        if file.suffix.lower() in spec.suffixes and not _is_mask(file, spec.masks)
    ]
    if len(pictures) != 1:
        names = ", ".join(file.name for file in pictures[:5]) or "none"
        raise DataFault(f"{source} must contain exactly one picture, but contains: {names}", REMEDY)
    return pictures[0], [file for file in files if file.name in masks]


def _is_mask(file: Path, spec: MaskSpec | None) -> bool:
    """Whether a file is named like a mask, with any number; such a file is not the picture."""
    return spec is not None and file.name.startswith(spec.stem)
