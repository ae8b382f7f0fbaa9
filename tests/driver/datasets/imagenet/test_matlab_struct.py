"""The reader of meta.mat: what scipy writes it reads as scipy does, and nothing hostile gets far."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from driver.datasets.imagenet import matlab_struct
from driver.datasets.imagenet.matlab_struct import NotUnderstood, read_struct
from tests.driver.datasets.imagenet.ilsvrc import SYNSETS, meta_mat

INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


def written(compressed: bool = False, **variables: Any) -> bytes:
    stream = io.BytesIO()
    target: Any = stream  # the library's types know file names only
    savemat(target, variables, do_compression=compressed)
    return stream.getvalue()


def rows_of(**fields: list[Any]) -> Any:
    """Return a struct array, one row an entry."""
    found = np.zeros((len(next(iter(fields.values()))), 1), dtype=[(name, "O") for name in fields])
    for name, values in fields.items():
        for place, value in enumerate(values):
            found[place, 0][name] = value
    return found


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def header(array_class: int, dimensions: tuple[int, ...], name: str) -> bytes:
    return (
        element(6, struct.pack("<II", array_class, 0))
        + element(5, struct.pack(f"<{len(dimensions)}i", *dimensions))
        + element(1, name.encode())
    )


def file_of(*arrays: bytes) -> bytes:
    return bytes(124) + b"\x00\x01IM" + b"".join(element(14, array) for array in arrays)


def one_field(*values: bytes, dimensions: tuple[int, ...] = (1, 1)) -> bytes:
    """Return a struct array ``s`` with the field ``f``, written by hand."""
    names = element(5, struct.pack("<i", 8)) + element(1, b"f".ljust(8, b"\0"))
    return file_of(header(2, dimensions, "s") + names + b"".join(element(14, v) for v in values))


@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_and_text_are_read_and_other_fields_left_out(compressed: bool) -> None:
    rows = rows_of(
        ILSVRC2012_ID=[1.0, 1860.0],
        WNID=["n02119789", "n00001740"],
        words=["kit fox, Vulpes macrotis", "entité, 実体"],
        children=[np.zeros((1, 0)), np.array([[2.0, 3.0]])],
    )
    found = read_struct(written(compressed, before=np.eye(3), synsets=rows), "synsets")
    assert found == [
        {"ILSVRC2012_ID": 1.0, "WNID": "n02119789", "words": "kit fox, Vulpes macrotis"},
        {"ILSVRC2012_ID": 1860.0, "WNID": "n00001740", "words": "entité, 実体"},
    ]


@pytest.mark.parametrize("kind", INTEGERS)
def test_a_number_of_any_class_is_read(kind: type[Any]) -> None:
    largest = np.iinfo(kind).max
    assert read_struct(written(s=rows_of(f=[kind(largest)])), "s") == [{"f": largest}]


def test_complex_numbers_and_empty_text_are_no_values() -> None:
    rows = rows_of(a=[1 + 2j], b=[""], c=[np.float32(0.5)])
    assert read_struct(written(s=rows), "s") in (
        [{"b": "", "c": 0.5}],
        [{"c": 0.5}],
    )


def test_text_is_read_as_matlab_itself_writes_it() -> None:
    """MATLAB writes UTF-16 and names it miUINT16, a double that is small as an integer."""
    wnid = header(4, (1, 9), "") + element(4, "n02119789".encode("utf-16-le"))
    number = header(6, (1, 1), "") + struct.pack("<HHH2x", 4, 2, 1860)
    assert read_struct(one_field(wnid), "s") == [{"f": "n02119789"}]
    assert read_struct(one_field(number), "s") == [{"f": 1860}]


@settings(max_examples=60)
@given(
    values=st.lists(
        st.one_of(
            st.floats(allow_nan=False),
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
        ),
        min_size=1,
        max_size=5,
    ),
    compressed=st.booleans(),
)
def test_it_reads_what_scipy_reads(values: list[float | str], compressed: bool) -> None:
    payload = written(compressed, s=rows_of(f=values))
    stream: Any = io.BytesIO(payload)
    theirs = [row["f"].item() for row in loadmat(stream)["s"][:, 0]]
    # scipy takes blanks at a string's end for padding.
    ours = [row["f"] for row in read_struct(payload, "s")]
    assert [one.rstrip() if isinstance(one, str) else one for one in ours] == [
        one.rstrip() if isinstance(one, str) else one for one in theirs
    ]


@settings(max_examples=300)
@given(place=st.integers(0, 4000), byte=st.integers(0, 255), compressed=st.booleans())
def test_one_changed_byte_is_read_or_refused(place: int, byte: int, compressed: bool) -> None:
    payload = bytearray(META[compressed])
    payload[place % len(payload)] = byte
    try:
        rows = read_struct(bytes(payload), "synsets")
    except NotUnderstood:
        return
    assert all(isinstance(value, (str, int, float)) for row in rows for value in row.values())


META = {
    compressed: written(compressed, synsets=rows_of(WNID=[*SYNSETS], num_children=[0.0, 0.0, 2.0]))
    for compressed in (False, True)
}


@pytest.mark.parametrize("compressed", [False, True])
def test_one_that_is_cut_short_anywhere_is_refused(compressed: bool) -> None:
    payload = META[compressed]
    end = len(payload.rstrip(b"\0")) if not compressed else len(payload)
    for length in range(0, end - 8, 7):
        with pytest.raises(NotUnderstood):
            read_struct(payload[:length], "synsets")


@settings(max_examples=200)
@given(noise=st.binary(max_size=400))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(NotUnderstood):
        read_struct(META[False][:128] + noise, "synsets")


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matlab_struct, "LARGEST_BYTES", 1 << 16)
    bomb = element(15, zlib.compress(element(14, header(6, (1, 1), "a") + bytes(1 << 17))))
    with pytest.raises(NotUnderstood, match="far too large"):
        read_struct(META[False][:128] + bomb, "synsets")
    # Many that are allowed each are not allowed together.
    part = element(14, header(6, (1, 1), "a") + bytes(1 << 15))
    parts = element(15, zlib.compress(part)) * 3
    with pytest.raises(NotUnderstood, match="far too large"):
        read_struct(META[False][:128] + parts, "synsets")


NUMBER = header(6, (1, 1), "") + element(9, struct.pack("<d", 1.0))
HOSTILE = {
    "big-endian": bytes(124) + b"\x01\x00MI" + META[False][128:],
    "level 4": bytes(300),
    "a matrix of that name": written(s=np.eye(2)),
    "another name": META[False],
    "rows that are not there": one_field(NUMBER, dimensions=(2, 1)),
    "2^60 rows": one_field(NUMBER, dimensions=(1 << 30, 1 << 30)),
    "negative dimensions": one_field(NUMBER, dimensions=(-1, -1)),
    "one dimension": one_field(NUMBER, dimensions=(1,)),
    "no array in a field": file_of(
        header(2, (1, 1), "s") + element(5, struct.pack("<i", 8)) + element(1, b"f".ljust(8, b"\0"))
    )
    + element(9, bytes(8)),
    "names of no length": file_of(
        header(2, (1, 1), "s") + element(5, struct.pack("<i", 0)) + element(1, b"f")
    ),
    "names of a negative length": file_of(
        header(2, (1, 1), "s") + element(5, struct.pack("<i", -8)) + element(1, b"f" * 8)
    ),
    "two numbers for one": one_field(header(6, (1, 1), "") + element(9, bytes(16))),
    "a third of a number": one_field(header(6, (1, 1), "") + element(9, bytes(3))),
    "a number of no type": one_field(header(6, (1, 1), "") + element(99, bytes(8))),
    "text of no type": one_field(header(4, (1, 1), "") + element(9, bytes(8))),
    "half a character": one_field(header(4, (1, 2), "") + element(4, b"abc")),
    "a small element of six bytes": one_field(header(6, (1, 1), "") + struct.pack("<HH4x", 9, 6)),
    "a compressed array within one": META[False][:128]
    + element(15, zlib.compress(element(15, zlib.compress(b"")))),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_cannot_be_is_refused(what: str) -> None:
    with pytest.raises(NotUnderstood):
        read_struct(HOSTILE[what], "s")


def test_the_tests_own_kit_is_read() -> None:
    rows = read_struct(meta_mat(), "synsets")
    assert [row["WNID"] for row in rows] == [*SYNSETS, "n09999999"]
