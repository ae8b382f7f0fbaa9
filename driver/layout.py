"""A dataset as the guest gets it: items.bin and index.json for every stage, labels.json for scoring."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING

from driver.content import key_of
from driver.datasets import IndexedDataset, read_indexed
from driver.errors import DataFault
from driver.locking import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

SEPARATOR = b"\n"
"""Between items in items.bin, so that its digest also tells where one ends: "ab", "c" is not "a", "bc"."""


def store(
    cache: Path, dataset: str, parts: Mapping[str, object], write: Callable[[Path], None]
) -> IndexedDataset:
    """Have ``write`` fill a folder below ``cache``, or take the one that the same parts made before.

    ``parts`` is everything that the layout is made of. A run that dies leaves no half a layout.
    """
    folder = cache / "datasets" / f"{dataset}-{key_of(parts)[:16]}"
    with locked(folder.with_suffix(".lock")):
        if (folder / "labels" / "labels.json").is_file():
            return read_indexed(folder, cached=True)
        partial = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        try:
            for part in ("data", "labels"):
                (partial / part).mkdir(parents=True)
            write(partial)
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return read_indexed(folder, cached=False)


def write_items(folder: Path, payloads: Sequence[bytes], *, repeats: int = 1) -> None:
    """Write ``folder``/items.bin and index.json; each payload once, as ``repeats`` items."""
    entries: list[dict[str, object]] = []
    body = b""
    for payload in payloads:
        for _ in range(repeats):
            number = len(entries) + 1
            entries.append({"id": f"{number:06d}", "offset": len(body), "length": len(payload)})
        body += payload + SEPARATOR
    (folder / "items.bin").write_bytes(body)
    _write_json(
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
    """Write ``folder``/labels.json: what scoring may see of each item, and each item's own name."""
    document = {"schema": "assay/labels/1", "labels": labels, "classes": [], "names": names}
    _write_json(folder / "labels.json", document)


def require_file(path: Path, what: str, remedy: str) -> bytes:
    """Return a file's bytes; DataFault when it is no readable file."""
    if not path.is_file():
        raise DataFault(f"{path} is not a file, {what} is needed", remedy)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataFault(
            f"{path} cannot be read: {error.strerror}", "mend its permissions"
        ) from error


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
