"""The dataset folder: index.json (ids, offsets, lengths; no labels) and items.bin."""

import json
import os
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from harness.errors import StageFailure

SCHEMA = "assay/dataset/1"
REMEDY = "prepare the dataset again: make data CASE=<case>"


class ItemTensor(NamedTuple):
    """One array of an item of kind ``tensor``: its raw little-endian bytes, C order."""

    name: str
    shape: Tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of one item's array."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class Dataset:
    """Items by position; may be read from several threads (pread); nothing is kept in memory.

    ``limit`` keeps only the first items (0: all). Raises StageFailure (data) when the folder is not a
    dataset, or items.bin is not the file that index.json describes.
    """

    def __init__(self, folder: Path, limit: int = 0) -> None:
        document = _read_index(folder / "index.json")
        self.kind: str = document["kind"]
        items = document["items"][:limit] if limit else document["items"]
        self.ids: List[str] = [item["id"] for item in items]
        self._offsets: List[int] = [item["offset"] for item in items]
        self._lengths: List[int] = [item["length"] for item in items]
        self.tensors = [_tensor(spec) for spec in document.get("tensors") or ()]
        self._file = folder / document["file"]
        self._check(document)
        self._descriptor = os.open(str(self._file), os.O_RDONLY)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, position: int) -> bytes:
        """The item's bytes (a whole JPEG, PNG or text file)."""
        payload = os.pread(self._descriptor, self._lengths[position], self._offsets[position])
        if len(payload) != self._lengths[position]:
            raise self._cut_short(position)
        return payload

    def read_into(self, position: int, rows: Sequence[Any]) -> None:
        """Read an item of kind ``tensor`` directly into ``rows`` (writable arrays), without a copy.

        ``rows`` are in the order of ``tensors``, each of its tensor's size.
        """
        count = os.preadv(self._descriptor, rows, self._offsets[position])
        if count != self._lengths[position]:
            raise self._cut_short(position)

    def close(self) -> None:
        """Close items.bin."""
        os.close(self._descriptor)

    def _cut_short(self, position: int) -> StageFailure:
        message = "item {} in {} ends early".format(self.ids[position], self._file.name)
        return StageFailure("data", message, REMEDY)

    def _check(self, document: Dict[str, Any]) -> None:
        if not self.ids:
            raise StageFailure("data", "the dataset has no items", REMEDY)
        try:
            found = self._file.stat().st_size
        except OSError as error:
            message = "{} cannot be read: {}".format(self._file.name, error.strerror)
            raise StageFailure("data", message, REMEDY) from error
        ends = (offset + length for offset, length in zip(self._offsets, self._lengths))
        if found != document["bytes"] or max(ends) > found:
            message = "{} has {} bytes, index.json says {}".format(
                self._file.name, found, document["bytes"]
            )
            raise StageFailure("data", message, REMEDY)
        self._check_tensors()

    def _check_tensors(self) -> None:
        if self.kind != "tensor":
            return
        expected = sum(tensor.nbytes for tensor in self.tensors)
        for position, length in enumerate(self._lengths):
            if length != expected:
                message = "item {} has {} bytes, its tensors need {}".format(
                    self.ids[position], length, expected
                )
                raise StageFailure("data", message, REMEDY)


def _read_index(path: Path) -> Dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        schema = document["schema"]
        kind = document["kind"]
        count = len(document["items"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = "{} is not a dataset's index: {}: {}".format(path, type(error).__name__, error)
        raise StageFailure("data", message, REMEDY) from error
    if schema != SCHEMA or kind not in ("file", "tensor") or count != document.get("count"):
        message = "{} is not usable: schema {!r}, kind {!r}, {} items, but count {}".format(
            path, schema, kind, count, document.get("count")
        )
        raise StageFailure("data", message, REMEDY)
    return document


def _tensor(spec: Dict[str, Any]) -> ItemTensor:
    # Little-endian whatever the host is: the file is the same for every vendor.
    return ItemTensor(spec["name"], tuple(spec["shape"]), np.dtype(spec["dtype"]).newbyteorder("<"))
