"""results.csv in parts: those of rows that did not change are copied from the last report's file.

100,000 rows are 140 MB of text, and from one report to the next hardly any of them changes.
"""

from __future__ import annotations

import hashlib
import os
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from driver.report.details.kept import State, state_of
from driver.report.files import CSV_ROWS, NEWEST, csv_header, csv_texts
from driver.system.files import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa  # type: ignore[import-untyped]

PART_END = "00"
"""A part ends with a result whose digest ends like this, one of 256: an added row changes its own part alone."""
MOST_ROWS = 1024
"""A part ends after so many rows in any case."""
MADE_OF = ("ctime_ns", "size", NEWEST)
"""With its path, what the row of a result is made of: the index takes a file of the same state for unchanged too."""


class Part(msgspec.Struct, frozen=True, array_like=True):
    """Some rows in the file: what they were made of, where their text is, and its sha256."""

    key: bytes
    start: int
    size: int
    digest: bytes


class Written(msgspec.Struct, frozen=True):
    """The file that a report wrote: its state, by which it is recognized, and its parts."""

    state: State
    parts: tuple[Part, ...]


class CsvFile:
    """results.csv of one folder; ``home`` (ASSAY_HOME) remembers its parts, without one it is always written whole."""

    def __init__(self, path: Path, home: Path | None, version: str) -> None:
        name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]
        self._path, self._version = path, version
        self._memory = home and home / "cache" / "report-csv" / f"{name}.msgpack"
        self._parts: list[Part] = []

    def write(self, table: pa.Table, draft: Path) -> None:
        """Write the records' columns as CSV to ``draft``, which then takes the place of the last report's file."""
        with _LastFile(self._path, self._written()) as last, draft.open("wb") as file:
            file.write(csv_header(table))
            for key, text, digest in _texts(table, last):
                self._parts.append(Part(key, file.tell(), len(text), digest))
                file.write(text)

    def remember(self) -> None:
        """Remember the parts of the file, which is in its place now."""
        if self._memory is not None:
            written = Written(state_of(str(self._path)), tuple(self._parts))
            write_sealed(self._memory, msgspec.msgpack.encode(written), self._seal())

    def _written(self) -> Written | None:
        content = read_sealed(self._memory, self._seal()) if self._memory is not None else None
        return None if content is None else msgspec.msgpack.decode(content, type=Written)

    def _seal(self) -> str:
        import pyarrow as pa

        # How a figure is written is Arrow's.
        return f"{self._version} {pa.__version__}"


class _LastFile:
    """The file of the last report, as far as it is the one that was remembered."""

    def __init__(self, path: Path, written: Written | None) -> None:
        self._parts: dict[bytes, Part] = {}
        self._file = -1
        if written is None:
            return
        try:
            # Somebody may have put a pipe there, which would be waited for.
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return
        found = os.fstat(self._file)
        if (found.st_ctime_ns, found.st_size) == written.state:
            self._parts = {part.key: part for part in written.parts}

    def __enter__(self) -> _LastFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            os.close(self._file)

    def find(self, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the text with this key and its digest, None where there is none or it is damaged."""
        part = self._parts.get(key)
        if part is None:
            return None
        try:
            text = os.pread(self._file, part.size, part.start)
        except OSError:
            return None
        return (text, part.digest) if _digest_of(text) == part.digest else None


class _Rows(NamedTuple):
    """Rows of the table that make a part, and their key."""

    start: int
    end: int
    key: bytes


def _texts(table: pa.Table, last: _LastFile) -> Iterator[tuple[bytes, bytes | memoryview, bytes]]:
    """Yield the key, the text and its digest of each part, in order; those that are missing are made, many at a time."""
    missing: list[_Rows] = []
    for rows in _divided(table):
        found = last.find(rows.key)
        if found is not None or (missing and rows.end - missing[0].start > CSV_ROWS):
            yield from _made(table, missing)
            missing = []
        if found is None:
            missing.append(rows)
        else:
            yield rows.key, *found
    yield from _made(table, missing)


def _made(table: pa.Table, parts: Sequence[_Rows]) -> Iterator[tuple[bytes, memoryview, bytes]]:
    if not parts:
        return
    start = parts[0].start
    lengths = [rows.end - rows.start for rows in parts]
    texts = csv_texts(table.slice(start, parts[-1].end - start), lengths)
    for rows, text in zip(parts, texts, strict=True):
        yield rows.key, text, _digest_of(text)


def _digest_of(text: bytes | memoryview) -> bytes:
    return hashlib.sha256(text).digest()


def _divided(table: pa.Table) -> Iterator[_Rows]:
    """Yield the rows in parts."""
    paths = table.column("path").to_pylist()
    states = [table.column(name).to_numpy() for name in MADE_OF]
    for start, end in pairwise(_bounds(table)):
        whole = hashlib.sha256("\0".join(paths[start:end]).encode())
        for state in states:
            whole.update(state[start:end].tobytes())
        yield _Rows(start, end, whole.digest())


def _bounds(table: pa.Table) -> list[int]:
    """Return the rows where parts begin, in order, and the number of all rows."""
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    is_last = pc.fill_null(pc.ends_with(table.column("digest"), PART_END), fill_value=False)
    bounds = [0]
    for after in [*(pc.indices_nonzero(is_last).to_numpy() + 1).tolist(), table.num_rows]:
        while after - bounds[-1] > MOST_ROWS:
            bounds.append(bounds[-1] + MOST_ROWS)
        if after > bounds[-1]:
            bounds.append(after)
    return bounds
