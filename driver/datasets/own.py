"""A dataset in a layout of its own, which only the case's dataset.py reads: its files and their digest."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from driver.datasets.hidden import is_hidden
from driver.errors import DataFault
from driver.system.hashing import key_of, remembered_sha256
from driver.system.untrusted import documents
from driver.system.untrusted.opener import RefusedFile, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SOURCE = "source.json"
"""What `make data` writes beside the items of a dataset: what they were made of."""
SOURCE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class OwnSource:
    """The user's file or folder that dataset.py reads; ``sha256`` is ``source_digest`` of it.

    ``items`` is the folder of the items that `make data` made of it, whose content key is ``key``; the
    user's file may be gone since.
    """

    path: Path
    sha256: str
    items: Path | None = None
    key: str = ""

    def document(self, dataset: str, key: str) -> dict[str, str]:
        """Return the document that is kept beside the items of ``key``."""
        path = str(self.path.absolute())
        return {
            "dataset": dataset,
            "layout": "own",
            "path": path,
            "sha256": self.sha256,
            "key": key,
        }


def open_own(folder: Path, files: Sequence[str], memory: Path) -> OwnSource:
    """Return what dataset.py reads: ``folder`` itself, or what `make data` made its items of.

    ``files`` and ``memory`` as in ``source_digest``, whose errors this raises.
    """
    prepared = prepared_source(folder)
    if prepared is not None:
        return prepared
    return OwnSource(path=folder, sha256=source_digest(folder, memory, files))


def prepared_source(folder: Path) -> OwnSource | None:
    """Return what the prepared dataset in ``folder`` was made of, None if it is none of a case's own layout."""
    try:
        document = documents.read_json(folder, SOURCE, SOURCE_BYTES, source=Source.USER)
        if document["layout"] != "own":
            return None
        return OwnSource(
            path=Path(document["path"]),
            sha256=str(document["sha256"]),
            items=folder,
            key=str(document["key"]),
        )
    except (RefusedFile, OSError, ValueError, KeyError, TypeError):
        return None


def require_unchanged(source: OwnSource, case: str, files: Sequence[str], memory: Path) -> None:
    """Raise DataFault unless what a prepared dataset was made of is still there, for other items to be made."""
    again = f"make data CASE={case} SRC=<the dataset>"
    if not source.path.exists():
        raise DataFault(
            f"the prepared items in {source.items} are of other weights, options or code, and "
            f"{source.path}, which they were made of, is gone",
            f"prepare it again: {again}",
        )
    if source_digest(source.path, memory, files) != source.sha256:
        raise DataFault(
            f"{source.path} has changed since {source.items} was made of it",
            f"prepare it again: make data CASE={case} SRC={source.path}",
        )


def source_digest(source: Path, memory: Path, files: Sequence[str] = ()) -> str:
    """Return the sha256 (hex) over names and bytes of a file, or of the visible files of a folder.

    ``files`` are the patterns of those that dataset.py reads, relative to the folder; all if empty.
    ``memory`` is where digests are remembered. Raises DataFault if there are none, or one of them
    cannot be read.
    """
    digests = {}
    for path in _files(source):
        name = path.relative_to(source).as_posix() if path != source else path.name
        if path != source and files and not any(fnmatchcase(name, one) for one in files):
            continue
        try:
            digests[name] = remembered_sha256(path, memory)
        except OSError as error:
            raise DataFault(
                f"{path} cannot be read: {error.strerror}", "make it readable (chmod a+r)"
            ) from error
    if not digests:
        wanted = f"none of {', '.join(files)}" if files else "no files"
        raise DataFault(f"the dataset folder {source} has {wanted}", "name another folder in DATA")
    return key_of(digests)


def _files(source: Path) -> Iterator[Path]:
    if not source.is_dir():
        yield source
        return
    for folder, folders, names in os.walk(source, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (Path(folder) / name for name in sorted(names) if not is_hidden(name))
