"""Writes a source's pictures into the indexed layout; an interrupted run resumes.

Pictures are read in the source's order and written to their places in the blinded one. A journal
records how many are safely on disk; the finished dataset gets its name atomically.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from driver.datasets.image_folder import SIGNATURES
from driver.datasets.imagenet.entries import blinded_order
from driver.errors import DataFault
from driver.system.file_lock import locked
from driver.system.files import write_atomically
from driver.system.hashing import file_sha256, key_of
from driver.system.untrusted.record import write_record
from driver.system.workspace import require_free

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.datasets.imagenet.entries import Labelled, Reader

CHECKPOINT_BYTES = 256 << 20
"""Bytes between two journal entries; each one flushes the write cache, so they are rare."""

JOURNAL = "journal.json"


class Layout:
    """The indexed layout of one source, below ``folder``."""

    def __init__(self, folder: Path, reader: Reader, labelled: Labelled) -> None:
        self._folder = folder
        self._partial = folder.with_name(f"{folder.name}.part")
        self._reader = reader
        self._labelled = labelled
        self._order = blinded_order(labelled.pictures)
        self._offsets = [0] * len(self._order)
        self.total_bytes = 0
        for position in self._order:
            self._offsets[position] = self.total_bytes
            self.total_bytes += labelled.pictures[position].length
        self._key = key_of(
            {
                "source": reader.identity(),
                "labels": key_of({"all": (labelled.labels, labelled.classes)}),
                "bytes": self.total_bytes,
            }
        )

    def write(
        self,
        source: dict[str, object],
        *,
        on_progress: Callable[[int, int], None] | None = None,
        on_note: Callable[[str], None] | None = None,
    ) -> bool:
        """Write the dataset unless it was already made from this source; return whether it was written.

        ``source`` describes the origin and is stored as source.json. Raises DataFault, and leaves
        nothing behind, when a file is not a picture or the source fails its digest.
        """
        with locked(self._folder.with_suffix(".lock")):
            if self._is_there():
                return False
            done = self._begin(on_note)
            try:
                self._copy(done, on_progress)
                self._reader.verify()
            except DataFault:
                shutil.rmtree(self._partial, ignore_errors=True)
                raise
            self._finish(source)
        return True

    def _is_there(self) -> bool:
        return _read_json(self._folder / "source.json").get("key") == self._key

    def _begin(self, on_note: Callable[[str], None] | None) -> int:
        """Return how many pictures an interrupted run wrote; 0, with a new folder, if there was none."""
        journal = _read_json(self._partial / JOURNAL)
        if journal.get("key") == self._key:
            done = journal.get("done")
            if isinstance(done, int) and 0 < done <= len(self._order):
                if on_note is not None:
                    on_note(f"resuming after {done} of {len(self._order)} pictures")
                return done
        shutil.rmtree(self._partial, ignore_errors=True)
        require_free(self._folder, int(self.total_bytes * 1.01), what="the dataset")
        (self._partial / "data").mkdir(parents=True)
        (self._partial / "labels").mkdir()
        return 0

    def _copy(self, done: int, on_progress: Callable[[int, int], None] | None) -> None:
        count = len(self._order)
        path = self._partial / "data" / "items.bin"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            os.ftruncate(descriptor, self.total_bytes)
            unsaved = 0
            for position, payload in enumerate(self._reader.read(done), start=done):
                self._require_picture(position, payload)
                os.pwrite(descriptor, payload, self._offsets[position])
                unsaved += len(payload)
                if unsaved >= CHECKPOINT_BYTES:
                    self._save(descriptor, position + 1)
                    unsaved = 0
                if on_progress is not None:
                    on_progress(position + 1, count)
        finally:
            os.close(descriptor)

    def _save(self, descriptor: int, done: int) -> None:
        os.fdatasync(descriptor)
        text = json.dumps({"key": self._key, "done": done})
        write_atomically(self._partial / JOURNAL, text)

    def _require_picture(self, position: int, payload: bytes) -> None:
        if payload.startswith(SIGNATURES):
            return
        name = self._labelled.pictures[position].name
        raise DataFault(
            f"{name} is not a JPEG or PNG file (it starts with {payload[:8]!r})",
            "replace it from the original archive",
        )

    def _finish(self, source: dict[str, object]) -> None:
        labelled = self._labelled
        items = [
            {
                "id": f"{number:06d}",
                "offset": self._offsets[position],
                "length": labelled.pictures[position].length,
            }
            for number, position in enumerate(self._order, start=1)
        ]
        labels = {
            "schema": "assay/labels/1",
            "labels": [labelled.labels[position] for position in self._order],
            "classes": list(labelled.classes),
            "names": [labelled.name(position) for position in self._order],
        }
        index = {
            "schema": "assay/dataset/1",
            "kind": "file",
            "count": len(items),
            "file": "items.bin",
            "bytes": self.total_bytes,
            "sha256": file_sha256(self._partial / "data" / "items.bin"),
            "items": items,
            "tensors": [],
        }
        write_atomically(self._partial / "labels" / "labels.json", json.dumps(labels))
        write_atomically(self._partial / "data" / "index.json", json.dumps(index))
        write_atomically(
            self._partial / "source.json", json.dumps({"key": self._key, **source}, indent=1)
        )
        (self._partial / JOURNAL).unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._partial.replace(self._folder)
        write_record(self._folder, self._folder.parent / ".sha256")


def _read_json(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
