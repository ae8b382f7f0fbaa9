"""Packed details of an earlier report: they are used again while every file that they were made from is the same."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import msgspec

from driver.aggregate.index import index_path
from driver.audit.reading import FILE as AUDIT
from driver.rerun.reading import FILE as RERUN
from driver.system.files import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

BESIDE = (AUDIT, RERUN)
"""Files beside a result that its report shows too; they are written after it."""

MOST_BYTES = 16_000_000
"""Of packed details: those of two reports, such as one of all results and one of the newest."""

State = tuple[int, int] | None
"""Change time in ns and size of a file, None where there is none."""
States = tuple[State, ...]


def kept_path(home: Path, folders: Sequence[Path]) -> Path:
    """Return the path of the details of these folders' results below ``home`` (ASSAY_HOME)."""
    return home / "cache" / "report-details" / f"{index_path(home, folders).stem}.msgpack"


def state_of(path: str) -> State:
    """Return how to detect that a file changed: copying tools cannot set a change time back."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path per file would double the time
    except (OSError, ValueError):
        return None
    return found.st_ctime_ns, found.st_size


def states_beside(paths: Iterable[str]) -> dict[str, States]:
    """Return the states of the files beside each result that its report shows, in the order of BESIDE."""
    found = {}
    for path in paths:
        folder = path.rpartition("/")[0]
        found[path] = tuple(_state_of_rare(f"{folder}/{name}") for name in BESIDE)
    return found


def _state_of_rare(path: str) -> State:
    # Hardly any result has such a file, and the error of one that is missing takes longer than asking first.
    # One that may not be read is as if it were not there: that may change without a change of the file.
    return state_of(path) if os.access(path, os.R_OK) else None


class Packed(msgspec.Struct, frozen=True):
    """The packed details of some rows, and the other files that they were read from."""

    text: str
    samples: dict[str, State]


class KeptDetails:
    """The packed details in one file of the cache; without a file, only those of this report.

    ``results`` has the state of each result that is shown, ``beside`` that of the files beside it, both
    before anything of them was read.
    """

    def __init__(
        self,
        path: Path | None,
        version: str,
        *,
        results: Mapping[str, State],
        beside: Mapping[str, States],
    ) -> None:
        self._path, self._version = path, version
        self._results, self._beside = results, beside
        content = read_sealed(path, version) if path is not None else None
        self._before: dict[str, Packed] = (
            msgspec.msgpack.decode(content, type=dict[str, Packed]) if content is not None else {}
        )
        self._now: dict[str, Packed] = {}

    def key(self, rows: Sequence[tuple[str, bool]]) -> str:
        """Return the key of the details of these rows: path, and whether they have series."""
        made_of = [(path, series, self._results[path], self._beside[path]) for path, series in rows]
        return hashlib.sha256(msgspec.json.encode(made_of)).hexdigest()

    def find(self, key: str) -> str | None:
        """Return the packed details with this key, None where there are none or a file of samples changed."""
        found = self._before.get(key)
        if found is None or any(state_of(path) != was for path, was in found.samples.items()):
            return None
        self._now[key] = found
        return found.text

    def keep(self, key: str, packed: Packed) -> None:
        """Keep packed details for the next report."""
        self._now[key] = packed

    def write(self) -> None:
        """Write what this report used, and of earlier ones what there is room for."""
        if self._path is None or self._now.keys() <= self._before.keys():
            return
        room = MOST_BYTES - sum(len(packed.text) for packed in self._now.values())
        kept = dict(self._now)
        for key, packed in self._before.items():
            room -= len(packed.text)
            if room > 0:
                kept.setdefault(key, packed)
        write_sealed(self._path, msgspec.msgpack.encode(kept), self._version)
