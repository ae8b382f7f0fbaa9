"""A dataset in a layout of its own, which only the case's dataset.py reads: its files and their digest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from driver.datasets.hidden import is_hidden
from driver.errors import DataFault
from driver.system.hashing import key_of, remembered_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator


def source_digest(source: Path, memory: Path) -> str:
    """Return the sha256 (hex) over names and bytes of a file, or of every visible file of a folder.

    ``memory`` is where digests are remembered. Raises DataFault if it has no files, or one of them
    cannot be read.
    """
    digests = {}
    for path in _files(source):
        name = path.relative_to(source).as_posix() if path != source else path.name
        try:
            digests[name] = remembered_sha256(path, memory)
        except OSError as error:
            raise DataFault(
                f"{path} cannot be read: {error.strerror}", "make it readable (chmod a+r)"
            ) from error
    if not digests:
        raise DataFault(f"the dataset folder {source} has no files", "name another folder in DATA")
    return key_of(digests)


def _files(source: Path) -> Iterator[Path]:
    if not source.is_dir():
        yield source
        return
    for folder, folders, names in os.walk(source, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (Path(folder) / name for name in sorted(names) if not is_hidden(name))
