"""Arrays of a guest: their headers say the truth, and archives unpack to what they say."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest

from driver.system.untrusted import arrays
from driver.system.untrusted.arrays import BadArray, headers, opened_archive, read_samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAMPLES = np.arange(5, dtype=np.int64)


def npy(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def header(text: str, data: bytes = b"") -> bytes:
    body = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body + data


def test_samples_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "core.npy", SAMPLES)
    assert read_samples(tmp_path, "core.npy").tolist() == SAMPLES.tolist()
    np.save(tmp_path / "none.npy", SAMPLES[:0])
    assert read_samples(tmp_path, "none.npy").size == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy(SAMPLES.astype(float)), "holds float64"),
        (npy(SAMPLES.astype(np.int32)), "holds int32"),
        (npy(SAMPLES.astype(">i8")), "holds int64"),
        (npy(SAMPLES.reshape(1, 5)), r"\[1, 5\]"),
        (npy(np.array([{}], dtype=object)), "not plain numbers"),
        (npy(np.zeros(2, dtype=[("a", "i8")])), "not plain numbers"),
        (npy(SAMPLES)[:-1], "bytes of data"),
        (npy(SAMPLES) + b"x", "bytes of data"),
        (npy(SAMPLES)[:50], "no readable header"),
        (header("{'descr': '<i8', 'fortran_order': False, 'shape': (1 << 60,)}"), "no readable"),
        (
            header("{'descr': '<i8', 'fortran_order': False, 'shape': (1152921504606846976,)}"),
            "bytes of data",
        ),
        (header("{'descr': '<i8', 'fortran_order': False, 'shape': (-1,)}", bytes(8)), "negative"),
        (header("{'descr': '<i8', 'fortran_order': False, 'shape': " + "(" * 90), "no readable"),
        (header("__import__('os').system('true')"), "no readable header"),
        (b"", "no readable header"),
        (b"\x93NUMPY\x09\x00", "no readable header"),
    ],
)
def test_what_is_no_array_of_samples_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "core.npy").write_bytes(content)
    with pytest.raises(BadArray, match=said):
        read_samples(tmp_path, "core.npy")


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def read(folder: Path, content: bytes) -> dict[str, arrays.Header]:
    (folder / "a.npz").write_bytes(content)
    with opened_archive(folder, "a.npz") as archive:
        return dict(headers(archive))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path: Path, save: Callable[..., None]) -> None:
    stream = io.BytesIO()
    save(stream, classes=SAMPLES, scores=SAMPLES.astype(np.float32).reshape(5, 1), one=np.int64(1))
    found = read(tmp_path, stream.getvalue())
    assert {name: one.shape for name, one in found.items()} == {
        "classes": (5,),
        "scores": (5, 1),
        "one": (),
    }


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = packed({f"{number}.npy": npy(np.zeros(1 << 20)) for number in range(4)})
    assert len(bomb) < 1 << 17
    monkeypatch.setattr(arrays, "ARCHIVE_LIMIT_BYTES", 1 << 24)
    with pytest.raises(BadArray, match="unpacks to"):
        read(tmp_path, bomb)


def with_zip64(content: bytes, directory: int) -> bytes:
    """Return the archive with a zip64 record that claims a directory of so many bytes."""
    at = content.rfind(arrays.END)
    record = struct.pack("<4sQ2H2L4Q", arrays.END64, 44, 45, 45, 0, 0, 1, 1, directory, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    return content[:at] + record + locator + content[at:]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no directory"),
        (b"not an archive" * 100, "no directory"),
        (packed({"a.npy": npy(SAMPLES)})[:-30], "no directory"),
        (packed({"a.npy": b"no array"}), "an array 'a' that has no readable header"),
        (packed({"a.npy": npy(np.array([{}], dtype=object))}), "not plain numbers"),
        (packed({"a.npy": npy(SAMPLES)[:-8]}), "bytes of data"),
        (packed({"a.npy": npy(SAMPLES)}, zipfile.ZIP_BZIP2), "packed in a way"),
        (with_zip64(packed({"a.npy": npy(SAMPLES)}), 1 << 40), "a directory of"),
    ],
)
def test_what_is_no_plain_archive_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(BadArray, match=said):
        read(tmp_path, content)


def test_an_archive_of_very_many_arrays_is_refused(tmp_path: Path) -> None:
    many = packed({f"{number}.npy": b"" for number in range(20_000)})
    with pytest.raises(BadArray, match="a directory of"):
        read(tmp_path, many)


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", npy(SAMPLES))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", npy(SAMPLES))
    with pytest.raises(BadArray, match="two arrays of one name"):
        read(tmp_path, stream.getvalue())
