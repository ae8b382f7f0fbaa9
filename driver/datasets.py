"""Datasets on the host: find one, and lay it out as the guest gets it, blinded and in one file.

The guest's ``data/`` holds ``items.bin`` (whole files, one after the other) and ``index.json``; labels and
original names go into a ``labels/`` folder that only scoring gets. A class folder's name never reaches
a vendor's container, and the order is that of a hash of the file names, so that it tells nothing either.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from driver.content import CHUNK_BYTES, key_of
from driver.errors import DataFault
from driver.locking import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driver.catalog import Case

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""First bytes of JPEG and PNG files."""

FORMS = {
    "imagefolder": "folder with val/<synset>/*.JPEG",
    "picture": "a JPEG or PNG file",
    "prompts": "a text file with a prompt a line, or VizWiz's val.json",
}
"""What the user names for each layout."""


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """Where the items come from; ``folder`` is None for a synthetic dataset."""

    kind: Literal["real", "synthetic"]
    folder: Path | None


@dataclass(frozen=True, kw_only=True)
class IndexedDataset:
    """A dataset as the guest gets it: ``data`` to every stage, ``labels`` to scoring alone."""

    data: Path
    labels: Path
    count: int
    sha256: str
    cached: bool


@dataclass(frozen=True, kw_only=True)
class LabelledFile:
    """One picture, its class by number, and its name relative to the dataset's folder."""

    path: Path
    label: int
    name: str


def locate_dataset(
    case: Case,
    asked: str | None,
    settings_datasets: dict[str, Path],
    prepared: Path | None = None,
) -> DatasetSource:
    """Find the case's dataset: asked for, bundled, the host's setting, or what `make data` prepared.

    Raises DataFault, which names the ways out, when there is none; synthetic is never chosen silently.
    """
    spec = case.manifest.data
    if asked == "synthetic":
        return DatasetSource(kind="synthetic", folder=None)
    if asked:
        return DatasetSource(kind="real", folder=_existing(Path(asked).expanduser(), "DATA"))
    if spec.bundled:
        return DatasetSource(kind="real", folder=case.folder / spec.bundled)
    if spec.dataset in settings_datasets:
        folder = settings_datasets[spec.dataset]
        return DatasetSource(kind="real", folder=_existing(folder, f"datasets.{spec.dataset}"))
    if prepared is not None and is_indexed(prepared / spec.dataset):
        return DatasetSource(kind="real", folder=prepared / spec.dataset)
    raise DataFault(
        f"case {case.name} needs the dataset {spec.dataset}, and this host has no setting for it",
        f"DATA=<{FORMS[spec.layout]}> ({spec.source or 'see the case README'}), "
        f'or [datasets] "{spec.dataset}" = "<the same>" in assay.local.toml, or DATA=synthetic '
        "(generated; the result says so)",
    )


def _existing(folder: Path, setting: str) -> Path:
    if not folder.exists():
        raise DataFault(f"{setting}: {folder} does not exist", "mend the path, or DATA=synthetic")
    return folder


def is_indexed(folder: Path) -> bool:
    """Say whether a folder is a dataset in the guest's own layout, with its labels."""
    return (folder / "data" / "index.json").is_file() and (
        folder / "labels" / "labels.json"
    ).is_file()


def read_prepared(folder: Path, *, case: Case, limit: int | None = None) -> IndexedDataset:
    """Take a dataset that `make data` prepared; with ``limit`` its first items count.

    Raises DataFault when it is of another number of classes than the case's.
    """
    found = read_indexed(folder, cached=True)
    try:
        labels = json.loads((folder / "labels" / "labels.json").read_text(encoding="utf-8"))
        classes = len(labels["classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFault(
            f"{folder} has no readable labels: {error}", "prepare it again: make data CASE=… SRC=…"
        ) from error
    require_class_count(case, folder, classes)
    return replace(found, count=min(limit or found.count, found.count))


def list_image_folder(root: Path, suffixes: Sequence[str]) -> tuple[list[LabelledFile], list[str]]:
    """List ``root/val/<class>/<picture>`` (or ``root/<class>/<picture>``) with labels in class order.

    Returns the files in a label-independent order, and the class names. Raises DataFault when the
    folder is empty, has no class folders, or holds no pictures.
    """
    base = root / "val" if (root / "val").is_dir() else root
    if not base.is_dir():
        raise DataFault(f"{base} is not a folder", "DATA=<folder that holds val/<synset>/*.JPEG>")
    entries = sorted(base.iterdir())
    if not entries:
        raise DataFault(
            f"the dataset folder {base} is empty", "DATA=<folder with val/<synset>/*.JPEG>"
        )
    classes = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    if not classes:
        raise DataFault(
            f"{base} holds {len(entries)} files but no class folders (val/<synset>/*.JPEG)",
            "sort the pictures into a folder per class with `make data SRC=<what you have>`",
        )
    files = [
        LabelledFile(path=path, label=label, name=f"{name}/{path.name}")
        for label, name in enumerate(classes)
        for path in sorted((base / name).iterdir())
        if path.suffix.lower() in suffixes
    ]
    if not files:
        raise DataFault(
            f"the {len(classes)} class folders of {base} hold no picture ({', '.join(suffixes)})",
            "DATA=<folder with val/<synset>/*.JPEG>",
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
    """Lay an image folder out below ``cache``, or take the layout that is already there.

    The key covers every file's name, size and time, so a changed picture makes a new layout.
    """
    files, classes = list_image_folder(root, case.manifest.data.suffixes)
    require_class_names(case, root, classes)
    require_class_count(case, root, len(classes))
    files = files[:limit] if limit else files
    stats = [file.path.stat() for file in files]
    key = key_of(
        {
            "root": str(root.resolve()),
            "classes": classes,
            "files": [
                (file.name, stat.st_size, stat.st_mtime_ns)
                for file, stat in zip(files, stats, strict=True)
            ],
        }
    )
    folder = cache / "datasets" / f"{case.manifest.data.dataset}-{key[:16]}"
    with locked(folder.with_suffix(".lock")):
        if (folder / "labels" / "labels.json").is_file():
            return read_indexed(folder, cached=True)
        _require_space(cache, sum(stat.st_size for stat in stats))
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        try:
            _write_layout(partial, files, classes, on_progress)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return read_indexed(folder, cached=False)


def read_indexed(folder: Path, *, cached: bool) -> IndexedDataset:
    """Read back a layout made by ``index_image_folder`` or by the reference image's generator."""
    try:
        index = json.loads((folder / "data" / "index.json").read_text(encoding="utf-8"))
        return IndexedDataset(
            data=folder / "data",
            labels=folder / "labels",
            count=index["count"],
            sha256=index["sha256"],
            cached=cached,
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataFault(
            f"the indexed dataset {folder} cannot be read: {error}",
            f"remove {folder} and run again",
        ) from error


def item_name(labels: Path, item_id: str) -> str | None:
    """Return the original name of the item ``item_id`` (its number from 1, as text), for error messages."""
    try:
        names = json.loads((labels / "labels.json").read_text(encoding="utf-8"))["names"]
        return str(names[int(item_id) - 1])
    except (OSError, ValueError, KeyError, IndexError):
        return None


def require_class_names(case: Case, root: Path, names: Sequence[str]) -> None:
    """Raise DataFault for a class folder whose name none of the dataset's classes can have."""
    pattern = case.manifest.data.class_names
    odd = [name for name in names if pattern is not None and not re.fullmatch(pattern, name)]
    if odd:
        raise DataFault(
            f"{root} holds the class folder {odd[0]!r}, which is no class of "
            f"{case.manifest.data.dataset} (their names match {pattern}); {len(odd)} such folder(s)",
            "move it out: every folder counts as a class, and shifts the numbers of those behind it",
        )


def require_class_count(case: Case, root: Path, found: int) -> None:
    """Raise DataFault unless a folder has as many classes as the case's dataset."""
    expected = case.manifest.data.classes
    if expected is not None and found != expected:
        raise DataFault(
            f"{root} has {found} class folders, {case.manifest.data.dataset} has {expected}; "
            "the class numbers, and so the accuracy, would be wrong",
            "complete the folder (an empty class folder counts), or DATA=synthetic",
        )


def _require_space(cache: Path, needed_bytes: int) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < needed_bytes * 1.05:
        raise DataFault(
            f"indexing needs {needed_bytes / 2**30:.2f} GiB in {cache}, {free / 2**30:.2f} GiB are free",
            "free some space, or set ASSAY_HOME to a larger disk",
        )


def _write_layout(
    folder: Path,
    files: Sequence[LabelledFile],
    classes: Sequence[str],
    on_progress: Callable[[int, int], None] | None,
) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "labels").mkdir()
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
    _write_json(
        folder / "labels" / "labels.json",
        {
            "schema": "assay/labels/1",
            "labels": [file.label for file in files],
            "classes": list(classes),
            "names": [file.name for file in files],
        },
    )
    _write_json(
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
            f"{file.path} cannot be read: {error.strerror}", "mend its permissions"
        ) from error
    if not payload.startswith(SIGNATURES):
        raise DataFault(
            f"{file.path} is not a JPEG or PNG file (it starts with {payload[:8]!r})",
            "replace it from the original archive, or remove it",
        )
    return payload


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
