"""The indexed layout: items.bin and index.json for every stage, labels.json for scoring."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from driver.datasets.prepared import LABELS, IndexedDataset, damaged_files, read_indexed
from driver.errors import DataFault
from driver.system.file_lock import locked
from driver.system.hashing import key_of
from driver.system.untrusted.record import is_complete, write_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

SEPARATOR = b"\n"
"""Between items in items.bin, so that its digest depends on where each ends ("ab", "c"; "a", "bc")."""


def store(
    cache: Path, dataset: str, parts: Mapping[str, object], write: Callable[[Path], None]
) -> IndexedDataset:
    """Return the cached folder for ``parts`` below ``cache``, filled by ``write`` if it is missing or damaged.

    ``parts`` is everything that determines the contents. A killed run leaves no partial folder.
    """
    folder = cache / "datasets" / f"{dataset}-{key_of(parts)[:16]}"
    memory = cache / "sha256"
    with locked(folder.with_suffix(".lock")):
        kept = is_complete(folder, LABELS)
        damaged = tuple(damaged_files(folder, memory)) if kept else ()
        if kept and not damaged:
            return read_indexed(folder, cached=True)
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        try:
            for part in ("data", "labels"):
                (partial / part).mkdir(parents=True)
            write(partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)
            write_record(folder, memory)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return replace(read_indexed(folder, cached=False), damaged=damaged)


def write_items(folder: Path, payloads: Sequence[bytes], *, repeats: int = 1) -> None:
    """Write items.bin and index.json to ``folder``: each payload once, indexed as ``repeats`` items."""
    entries: list[dict[str, object]] = []
    body = b""
    for payload in payloads:
        for _ in range(repeats):
            number = len(entries) + 1
            entries.append({"id": f"{number:06d}", "offset": len(body), "length": len(payload)})
        body += payload + SEPARATOR
    (folder / "items.bin").write_bytes(body)
    write_json(
        folder / "index.json",
        {
            "schema": "assay/dataset/1",
            "kind": "file",
            "count": len(entries),
            "file": "items.bin",
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "items": entries,
            "tensors": [],
        },
    )


def write_labels(folder: Path, labels: Sequence[int] | Sequence[str], names: Sequence[str]) -> None:
    """Write labels.json to ``folder``: each item's label and original name, for scoring alone."""
    document = {"schema": "assay/labels/1", "labels": labels, "classes": [], "names": names}
    write_json(folder / "labels.json", document)


def require_file(path: Path, what: str, remedy: str) -> bytes:
    """Return a file's bytes; DataFault when it is not a readable file."""
    if not path.is_file():
        raise DataFault(f"{path} is not a file; {what} is needed", remedy)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataFault(
            f"{path} cannot be read: {error.strerror}", "fix its permissions"
        ) from error


def write_json(path: Path, document: object) -> None:
    """Write a document as one line of JSON, UTF-8."""
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
