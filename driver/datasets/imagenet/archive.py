"""A tar archive of pictures: listed by its headers, then read once in full while its md5 is computed.

Nothing is unpacked: a member is bytes at an offset. Members that could harm an unpacker (links,
devices, absolute paths, ``..``) are still refused, as the published archive has none.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from driver.datasets.hidden import is_hidden
from driver.datasets.imagenet.entries import Picture
from driver.errors import DataFault
from driver.system.hashing import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

BLOCK_BYTES = tarfile.BLOCKSIZE
END_BYTES = 2 * BLOCK_BYTES
"""An archive ends with two zero blocks; one truncated between two members lacks them."""

AGAIN = "download the archive again"


class Archive:
    """A Reader of a tar file; ``md5`` is the expected digest of the whole file."""

    def __init__(self, path: Path, md5: str, suffixes: Sequence[str]) -> None:
        self.path = path
        self._md5 = md5.lower()
        self._digest = hashlib.md5(usedforsecurity=False)
        self._at = 0
        self.pictures = _list(path, suffixes)

    def identity(self) -> dict[str, object]:
        """Return path, size and mtime of the archive."""
        stat = self.path.stat()
        return {"path": str(self.path.resolve()), "bytes": stat.st_size, "time": stat.st_mtime_ns}

    def read(self, start: int) -> Iterator[bytes]:
        """Yield the pictures from position ``start``; bytes before it are only hashed."""
        self._digest = hashlib.md5(usedforsecurity=False)
        self._at = 0
        try:
            with self.path.open("rb", buffering=CHUNK_BYTES) as stream:
                for position, picture in enumerate(self.pictures):
                    if position < start:
                        continue
                    self._skip(stream, picture.offset)
                    yield self._take(stream, picture.length)
                self._skip(stream, self.path.stat().st_size)
        except OSError as error:
            raise DataFault(f"{self.path} cannot be read: {error}", AGAIN) from error

    def verify(self) -> None:
        """Raise DataFault, with both digests, unless the bytes read have the expected md5."""
        found = self._digest.hexdigest()
        if found != self._md5:
            raise DataFault(f"{self.path} has md5 {found} instead of {self._md5}", AGAIN)

    def _skip(self, stream: BinaryIO, offset: int) -> None:
        while self._at < offset:
            self._take(stream, min(CHUNK_BYTES, offset - self._at))

    def _take(self, stream: BinaryIO, count: int) -> bytes:
        payload = stream.read(count)
        if len(payload) != count:
            raise _truncated(self.path, f"{count - len(payload)} bytes are missing at {self._at}")
        self._digest.update(payload)
        self._at += count
        return payload


def _list(path: Path, suffixes: Sequence[str]) -> tuple[Picture, ...]:
    found: dict[str, Picture] = {}
    end = 0
    try:
        with tarfile.open(path, mode="r:") as archive:
            for member in archive:
                end = max(end, member.offset_data + _padded(member.size if member.isreg() else 0))
                picture = _picture(member, path, suffixes)
                if picture is None:
                    continue
                if picture.name in found:
                    raise DataFault(f"{path} contains {picture.name} twice", AGAIN)
                found[picture.name] = picture
    except tarfile.TarError as error:
        raise _truncated(path, str(error)) from error
    except OSError as error:
        raise DataFault(
            f"{path} cannot be read: {error.strerror}", "fix its permissions"
        ) from error
    _require_end(path, end)
    if not found:
        raise DataFault(f"{path} contains no picture ({', '.join(suffixes)})", AGAIN)
    return tuple(sorted(found.values(), key=lambda picture: picture.offset))


def _picture(member: tarfile.TarInfo, path: Path, suffixes: Sequence[str]) -> Picture | None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise _hostile(path, member, "its name leads out of the archive")
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        kind = "a link" if member.issym() or member.islnk() else "not a regular file"
        raise _hostile(path, member, f"it is {kind}")
    if name.suffix.lower() not in suffixes or is_hidden(name.name):
        return None
    return Picture(name=name.name, length=member.size, offset=member.offset_data)


def _padded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _require_end(path: Path, end: int) -> None:
    size = path.stat().st_size
    if end > size:
        raise _truncated(path, f"its last member ends at byte {end}, the file at {size}")
    with path.open("rb") as stream:
        stream.seek(end)
        if stream.read(END_BYTES) != bytes(END_BYTES):
            raise _truncated(path, "it has no end mark")


def _truncated(path: Path, reason: str) -> DataFault:
    return DataFault(f"{path} is truncated or not a tar archive: {reason}", AGAIN)


def _hostile(path: Path, member: tarfile.TarInfo, reason: str) -> DataFault:
    return DataFault(
        f"{path} contains the unsafe member {member.name!r}: {reason}",
        "download the archive from its publisher; the published one has no such member",
    )
