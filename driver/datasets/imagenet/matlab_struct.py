"""Reads one struct array of a MATLAB file (MAT-file level 5, little-endian): its scalars and strings.

Supports only what ILSVRC's ``meta.mat`` needs, after MathWorks' "MAT-File Format", chapter 1: the
header, data elements (also compressed), and a struct array with fields of text or one real number.
Other fields (matrices, cells) are skipped. Every length is checked before use.
"""

from __future__ import annotations

import struct
import zlib
from itertools import product
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER_BYTES = 128
LARGEST_BYTES = 64 << 20
"""Limit on all decompressed elements; meta.mat has 0.7 MB."""

MOST_VALUES = 1 << 20
"""Limit on a struct array's rows times fields; meta.mat has 1,860 × 8."""

MATRIX, COMPRESSED = 14, 15
STRUCT, CHAR, FIRST_NUMERIC, LAST_NUMERIC = 2, 4, 6, 15
COMPLEX = 1 << 11
NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}
"""``struct`` codes by data type; MATLAB stores doubles with small integer values as integers."""

ENCODINGS = {1: "utf-8", 2: "utf-8", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le", 18: "utf-32-le"}


class NotUnderstood(ValueError):
    """The bytes are not such a file, are truncated, or contradict themselves."""


def read_struct(payload: bytes, name: str) -> list[dict[str, str | float]]:
    """Return the rows of the struct array ``name``: field → text or number.

    Raises NotUnderstood if the file has no such array or is truncated.
    """
    if payload[124:128] != b"\x00\x01IM":
        raise NotUnderstood("it is not a little-endian MAT-file of level 5")
    for body in _matrices(memoryview(payload)[HEADER_BYTES:]):
        kind, dimensions, found = _array_header(body)
        if found == name and kind == STRUCT:
            return _rows(body, prod(dimensions))
    raise NotUnderstood(f"it has no struct array {name!r}")


class _Elements:
    """Consecutive data elements, each a type and its bytes."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._view)

    def next(self) -> tuple[int, memoryview]:
        kind, length = struct.unpack("<II", self._take(8))
        if kind >> 16:
            # Up to four bytes are in the tag itself.
            kind, length = kind & 0xFFFF, kind >> 16
            if length > 4:
                raise NotUnderstood(f"a small element of {length} bytes")
            return kind, self._view[self._at - 4 : self._at - 4 + length]
        data = self._take(length)
        if kind != COMPRESSED:
            self._at += -length % 8
        return kind, data

    def numbers(self) -> tuple[float, ...]:
        kind, data = self.next()
        if kind not in NUMBERS:
            raise NotUnderstood(f"numbers of the unknown type {kind}")
        code = f"<{NUMBERS[kind]}"
        if len(data) % struct.calcsize(code):
            raise NotUnderstood(f"{len(data)} bytes are not a whole number of values")
        return tuple(value for (value,) in struct.iter_unpack(code, data))

    def text(self) -> str:
        kind, data = self.next()
        try:
            return str(data, ENCODINGS[kind])
        except (KeyError, UnicodeDecodeError) as error:
            raise NotUnderstood(f"text of the type {kind}: {error}") from error

    def matrix(self) -> _Elements:
        kind, data = self.next()
        if kind != MATRIX:
            raise NotUnderstood(f"an element of the type {kind} where an array was expected")
        return _Elements(data)

    def _take(self, count: int) -> memoryview:
        if count > len(self._view) - self._at:
            raise NotUnderstood(f"it is truncated: {count} bytes are missing at {self._at}")
        self._at += count
        return self._view[self._at - count : self._at]


def _matrices(view: memoryview) -> Iterator[_Elements]:
    """Yield the file's arrays, decompressed."""
    elements, left = _Elements(view), LARGEST_BYTES
    while elements:
        kind, data = elements.next()
        if kind == COMPRESSED:
            found = _decompressed(data, left)
            left -= len(found)
            yield _Elements(memoryview(found)).matrix()
        elif kind == MATRIX:
            yield _Elements(data)


def _decompressed(data: memoryview, most: int) -> bytes:
    inflate = zlib.decompressobj()
    try:
        # Ask for one byte beyond the limit: a limit of 0 would mean none.
        found = inflate.decompress(data, most + 1)
    except zlib.error as error:
        raise NotUnderstood(f"a compressed element is damaged: {error}") from error
    if len(found) > most or not inflate.eof:
        raise NotUnderstood("a compressed element is truncated or far too large")
    return found


def _array_header(body: _Elements) -> tuple[int, tuple[int, ...], str]:
    """Return an array's class, dimensions and name; class 0 stands for complex numbers."""
    flags = body.numbers()
    dimensions = tuple(int(size) for size in body.numbers())
    if not flags or len(dimensions) < 2 or min(dimensions) < 0:
        raise NotUnderstood("an array without flags or dimensions")
    kind = int(flags[0])
    return 0 if kind & COMPLEX else kind & 0xFF, dimensions, body.text()


def _rows(body: _Elements, count: int) -> list[dict[str, str | float]]:
    lengths = body.numbers()
    width = int(lengths[0]) if lengths else 0
    joined = body.text()
    if width < 1 or len(joined) % width:
        raise NotUnderstood(f"{len(joined)} characters are not field names of {width} each")
    fields = [
        joined[start : start + width].partition("\0")[0] for start in range(0, len(joined), width)
    ]
    if count * len(fields) > MOST_VALUES:
        raise NotUnderstood(f"a struct array of {count} rows and {len(fields)} fields")
    rows: list[dict[str, str | float]] = [{} for _ in range(count)]
    for row, field in product(rows, fields):
        value = _value(body.matrix())
        if value is not None:
            row[field] = value
    return rows


def _value(body: _Elements) -> str | float | None:
    """Return a field's value if it is text or one real number, else None."""
    if not body:
        return None
    kind, dimensions, _ = _array_header(body)
    if kind == CHAR:
        return body.text() if prod(dimensions) else ""
    if FIRST_NUMERIC <= kind <= LAST_NUMERIC and prod(dimensions) == 1:
        numbers = body.numbers()
        if len(numbers) != 1:
            raise NotUnderstood(f"{len(numbers)} numbers where one was expected")
        return numbers[0]
    return None
