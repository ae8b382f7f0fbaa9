"""A dataset with one folder per class: lists, checks and indexes its pictures for the guest."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.datasets.classes import require_class_count, require_class_names
from driver.datasets.hidden import is_hidden
from driver.datasets.prepared import IndexedDataset
from driver.datasets.store import store, write_json
from driver.errors import DataFault
from driver.system.hashing import CHUNK_BYTES
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driver.catalog.catalog import Case


SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""First bytes of JPEG and PNG files."""


@dataclass(frozen=True, kw_only=True)
class LabelledFile:
    """One picture, its class number, and its name relative to the dataset's folder."""

    path: Path
    label: int
    name: str


def list_image_folder(root: Path, suffixes: Sequence[str]) -> tuple[list[LabelledFile], list[str]]:
    """List ``root/val/<class>/<picture>`` (or ``root/<class>/<picture>``) with labels in class order.

    Returns the files in an order independent of labels, and the class names. Raises DataFault when
    the folder is empty, has no class folders, or contains no pictures.
    """
    base = root / "val" if (root / "val").is_dir() else root
    if not base.is_dir():
        raise DataFault(f"{base} is not a folder", "type: DATA=<folder with val/<synset>/*.JPEG>")
    entries = sorted(base.iterdir())
    if not entries:
        raise DataFault(
            f"the dataset folder {base} is empty", "type: DATA=<folder with val/<synset>/*.JPEG>"
        )
    classes = [entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name)]
    if not classes:
        raise DataFault(
            f"{base} contains {counted(len(entries), 'file')} but no class folders (val/<synset>/*.JPEG)",
            "prepare it, with its labels: make data SRC=<folder or archive>",
        )
    files = [
        LabelledFile(path=path, label=label, name=f"{name}/{path.name}")
        for label, name in enumerate(classes)
        for path in sorted((base / name).iterdir())
        if path.suffix.lower() in suffixes and not is_hidden(path.name)
    ]
    if not files:
        raise DataFault(
            f"{base} has {counted(len(classes), 'class folder')}, but no picture in any "
            f"({', '.join(suffixes)})",
            "type: DATA=<folder with val/<synset>/*.JPEG>",
        )
    files.sort(key=lambda file: hashlib.sha256(file.path.name.encode()).digest())
    return files, classes


def index_image_folder(
    root: Path,
    *,
    case: Case,
    cache: Path,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> IndexedDataset:
    """Index an image folder below ``cache``, or return the index that is already there.

    The cache key covers every file's name, size and mtime: a changed picture makes a new index.
    """
    files, classes = list_image_folder(root, case.manifest.data.suffixes)
    require_class_names(case, root, classes)
    require_class_count(case, root, len(classes))
    files = files[:limit] if limit else files
    stats = [file.path.stat() for file in files]
    parts = {
        "root": str(root.resolve()),
        "classes": classes,
        "files": [
            (file.name, stat.st_size, stat.st_mtime_ns)
            for file, stat in zip(files, stats, strict=True)
        ],
    }

    def write(folder: Path) -> None:
        _require_space(cache, sum(stat.st_size for stat in stats))
        _write_items(folder, files, classes, on_progress)

    return store(cache, case.manifest.data.dataset, parts, write)


def _require_space(cache: Path, needed_bytes: int) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < needed_bytes * 1.05:
        raise DataFault(
            f"indexing needs {needed_bytes / 2**30:.2f} GiB in {cache}, but only "
            f"{free / 2**30:.2f} GiB are free",
            "free some space, or put ASSAY_HOME on a larger disk",
        )


def _write_items(
    folder: Path,
    files: Sequence[LabelledFile],
    classes: Sequence[str],
    on_progress: Callable[[int, int], None] | None,
) -> None:
    digest = hashlib.sha256()
    items: list[dict[str, object]] = []
    offset = 0
    with (folder / "data" / "items.bin").open("wb", buffering=CHUNK_BYTES) as stream:
        for number, file in enumerate(files, start=1):
            payload = _picture_bytes(file)
            stream.write(payload)
            digest.update(payload)
            items.append({"id": f"{number:06d}", "offset": offset, "length": len(payload)})
            offset += len(payload)
            if on_progress is not None:
                on_progress(number, len(files))
    write_json(
        folder / "labels" / "labels.json",
        {
            "schema": "assay/labels/1",
            "labels": [file.label for file in files],
            "classes": list(classes),
            "names": [file.name for file in files],
        },
    )
    write_json(
        folder / "data" / "index.json",
        {
            "schema": "assay/dataset/1",
            "kind": "file",
            "count": len(files),
            "file": "items.bin",
            "bytes": offset,
            "sha256": digest.hexdigest(),
            "items": items,
            "tensors": [],
        },
    )


def _picture_bytes(file: LabelledFile) -> bytes:
    try:
        payload = file.path.read_bytes()
    except OSError as error:
        raise DataFault(
            f"{file.path} cannot be read: {error.strerror}", "fix its permissions"
        ) from error
    if not payload.startswith(SIGNATURES):
        raise DataFault(
            f"{file.path} is not a JPEG or PNG file (it starts with {payload[:8]!r})",
            "replace it from the original archive, or remove it",
        )
    return payload
