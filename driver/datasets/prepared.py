"""Reads an indexed dataset back: the items for every stage, the labels for scoring alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.datasets.classes import require_class_count
from driver.errors import DataFault
from driver.system.hashing import key_of
from driver.system.untrusted import documents, record
from driver.system.untrusted.opener import RefusedFile, Source

if TYPE_CHECKING:
    from driver.catalog.catalog import Case

INDEX, LABELS = "data/index.json", "labels/labels.json"
DOCUMENT_BYTES = 1 << 30
"""Of an index or of labels; those of ImageNet's 1.3 million pictures take 100 MB."""
UNREADABLE = (RefusedFile, OSError, ValueError, KeyError, TypeError, IndexError)


@dataclass(frozen=True, kw_only=True)
class IndexedDataset:
    """A dataset as the guest gets it: ``data`` for every stage, ``labels`` for scoring alone.

    ``damaged`` are the files of the cached one that were damaged, for which it was made again.
    """

    data: Path
    labels: Path
    count: int
    sha256: str
    cached: bool
    damaged: tuple[str, ...] = ()


def is_indexed(folder: Path) -> bool:
    """Whether a folder is an indexed dataset with labels."""
    return (folder / INDEX).is_file() and (folder / LABELS).is_file()


def damaged_files(folder: Path, memory: Path, *, thorough: bool = False) -> list[str]:
    """Return the files of an indexed dataset that differ from what was recorded, sorted.

    ``memory`` is where digests are remembered, and the record of a dataset that was made without
    one, whose items are first checked against the digest in its index.
    """
    if record.has_record(folder):
        return record.damaged(folder, memory, thorough=thorough)
    kept_as = memory / "records" / f"{key_of({'folder': str(folder.resolve())})}.json"
    if kept_as.is_file():
        return record.damaged(folder, memory, kept_as=kept_as, thorough=thorough)
    try:
        index = _document(folder, INDEX)
        items = {f"data/{index['file']}": str(index["sha256"])}
    except UNREADABLE:
        return [INDEX]
    found = record.differing(folder, items, memory, source=Source.USER, thorough=thorough)
    if not found:
        names = [f"labels/{path.name}" for path in (folder / "labels").iterdir() if path.is_file()]
        record.write_record_of(folder, (INDEX, *items, *names), memory, kept_as)
    return found


def read_prepared(
    folder: Path, *, case: Case, memory: Path, limit: int | None = None
) -> IndexedDataset:
    """Return a dataset that `make data` prepared, or its first ``limit`` items.

    ``memory`` as in ``damaged_files``. Raises DataFault when a file of it was damaged, and when its
    number of classes is not the case's.
    """
    damaged = damaged_files(folder, memory)
    if damaged:
        raise DataFault(
            f"{folder} is damaged: {', '.join(damaged[:3])} changed after it was prepared",
            f"prepare it again: make data CASE={case.name} SRC=…",
        )
    found = read_indexed(folder, cached=True)
    try:
        classes = len(_document(folder, LABELS)["classes"])
    except UNREADABLE as error:
        raise DataFault(
            f"the labels of {folder} cannot be read: {error}",
            "prepare it again: make data CASE=… SRC=…",
        ) from error
    require_class_count(case, folder, classes)
    return replace(found, count=min(limit or found.count, found.count))


def read_indexed(folder: Path, *, cached: bool) -> IndexedDataset:
    """Read a dataset indexed by ``index_image_folder`` or made by the reference image."""
    try:
        index = _document(folder, INDEX)
        return IndexedDataset(
            data=folder / "data",
            labels=folder / "labels",
            count=int(index["count"]),
            sha256=str(index["sha256"]),
            cached=cached,
        )
    except UNREADABLE as error:
        raise DataFault(
            f"the indexed dataset {folder} cannot be read: {error}",
            f"remove {folder} and run again",
        ) from error


def item_name(labels: Path, item_id: str) -> str | None:
    """Return the original name of item ``item_id`` (its number from 1, as text), for messages."""
    try:
        return str(_document(labels, "labels.json")["names"][int(item_id) - 1])
    except UNREADABLE:
        return None


def _document(folder: Path, name: str) -> Any:
    return documents.read_json(folder, name, DOCUMENT_BYTES, source=Source.USER)
