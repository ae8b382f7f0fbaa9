"""Reads .npy and .npz files that a guest wrote: no pickles, no size but the file's, no zip bombs."""

from __future__ import annotations

import struct
import zipfile
import zlib
from contextlib import contextmanager
from io import BytesIO
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from driver.system.untrusted import opener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SAMPLES_LIMIT_BYTES = 512 << 20
"""64 million samples: 26 minutes of calls that take 25 µs."""
ARCHIVE_LIMIT_BYTES = 64 << 30
"""Both of an .npz and of what it unpacks to."""
DIRECTORY_LIMIT_BYTES = 1 << 20
"""zipfile reads the directory of an archive at once; ours have a handful of entries."""
END, END64 = b"PK\x05\x06", b"PK\x06\x06"
END_BYTES, END64_BYTES, COMMENT_BYTES = 22, 56 + 20, 1 << 16
"""The end record; the zip64 record with its locator; the longest comment."""
UNREADABLE = (ValueError, TypeError, EOFError, SyntaxError, TokenError, RecursionError, MemoryError)
"""What numpy raises for odd headers, which it reads as Python literals."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class BadArray(ValueError):
    """A file that is no plain array or archive of arrays; the text says why."""


class Header(NamedTuple):
    """What the header of an .npy says of its array."""

    shape: tuple[int, ...]
    column_major: bool
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """Return how many bytes the array takes."""
        total = self.dtype.itemsize
        for length in self.shape:
            total *= length
        return total


def read_samples(
    folder: Path, name: str, *, source: opener.Source = opener.Source.GUEST
) -> NDArray[np.int64]:
    """Return the samples in an .npy below ``folder``: int64 nanoseconds, shape [N].

    Raises RefusedFile and OSError as ``opener.opened`` does, BadArray for any other array.
    """
    import numpy as np

    content = opener.read(folder, name, SAMPLES_LIMIT_BYTES, source=source)
    stream = BytesIO(content)
    header = read_header(stream, len(content))
    if header.dtype.str != "<i8" or len(header.shape) != 1:
        raise BadArray(
            f"holds {header.dtype.name} {list(header.shape)}, but samples are int64 of one dimension"
        )
    return np.frombuffer(content, np.int64, offset=stream.tell())


def read_header(stream: IO[bytes], size: int) -> Header:
    """Return the header of an .npy of ``size`` bytes; BadArray unless its array has the other bytes."""
    from numpy.lib import format as npy

    try:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        header = Header(*read(stream))
    except UNREADABLE as error:
        raise BadArray(f"has no readable header ({str(error)[:80]})") from error
    if header.dtype.hasobject or header.dtype.names or header.dtype.kind not in "biuf":
        raise BadArray(f"holds {header.dtype.str}, which are not plain numbers")
    if any(length < 0 for length in header.shape):
        raise BadArray("has a negative length")
    if header.bytes != size - stream.tell():
        raise BadArray(f"has {size - stream.tell()} bytes of data, its header says {header.bytes}")
    return header


@contextmanager
def opened_archive(folder: Path, name: str) -> Iterator[zipfile.ZipFile]:
    """Open an .npz below ``folder``, whose members unpack to at most ARCHIVE_LIMIT_BYTES.

    Raises RefusedFile and OSError as ``opener.opened`` does, BadArray if it is no plain archive.
    """
    with opener.opened(folder, name, ARCHIVE_LIMIT_BYTES) as stream:
        _require_small_directory(stream)
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
            raise BadArray(f"is not an archive of arrays ({error})") from error
        with archive:
            _require_plain_members(archive)
            yield archive


def headers(archive: zipfile.ZipFile) -> Iterator[tuple[str, Header]]:
    """Yield the name and the header of every array; BadArray for any other member."""
    for one in archive.infolist():
        name = one.filename.removesuffix(".npy")
        try:
            with archive.open(one) as member:
                yield name, read_header(member, one.file_size)
        except BadArray as error:
            raise BadArray(f"has an array {name[:40]!r} that {error}") from error
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise BadArray(f"has an array {name[:40]!r} that cannot be read ({error})") from error


def _require_small_directory(stream: IO[bytes]) -> None:
    """Raise BadArray unless the archive's directory is small; zipfile would read it whole."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - END_BYTES - COMMENT_BYTES - END64_BYTES))
    tail = stream.read()
    stream.seek(0)
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < END_BYTES:
        raise BadArray("is not an archive of arrays (it has no directory)")
    (directory,) = struct.unpack_from("<L", tail, at + 12)
    # zipfile prefers the zip64 record, which archives over 4 GiB have just before the end.
    before = at - END64_BYTES
    if before >= 0 and tail.startswith(END64, before):
        (directory,) = struct.unpack_from("<Q", tail, before + 40)
    if directory > DIRECTORY_LIMIT_BYTES:
        raise BadArray(f"has a directory of {directory:,} bytes")


def _require_plain_members(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len({one.filename for one in members}) < len(members):
        raise BadArray("has two arrays of one name")
    if any(one.compress_type not in _METHODS or one.flag_bits & 1 for one in members):
        raise BadArray("is encrypted, or packed in a way that numpy does not use")
    total = sum(one.file_size for one in members)
    if total > ARCHIVE_LIMIT_BYTES:
        raise BadArray(f"unpacks to {total:,} bytes, more than the {ARCHIVE_LIMIT_BYTES:,} allowed")
