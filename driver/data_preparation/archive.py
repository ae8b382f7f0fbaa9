"""A tar archive of pictures: listed once by its headers, then read once from end to end, its md5 beside.

Nothing is unpacked: a member is bytes at an offset. Members that could harm an unpacker (links,
devices, absolute paths, ``..``) are refused all the same: such an archive is not what it should be.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from driver.content import CHUNK_BYTES
from driver.data_preparation.entries import Picture
from driver.errors import DataFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

BLOCK_BYTES = tarfile.BLOCKSIZE
END_BYTES = 2 * BLOCK_BYTES
"""An archive ends with two blocks of zeros; one that was cut between two members lacks them."""

AGAIN = "fetch the archive again"


class Archive:
    """A Reader of a tar file; ``md5`` is what the whole file must have."""

    def __init__(self, path: Path, md5: str, suffixes: Sequence[str]) -> None:
        self.path = path
        self._md5 = md5.lower()
        self._digest = hashlib.md5(usedforsecurity=False)
        self._at = 0
        self.pictures = _list(path, suffixes)

    def identity(self) -> dict[str, object]:
        """Return path, size and time of the archive."""
        stat = self.path.stat()
        return {"path": str(self.path.resolve()), "bytes": stat.st_size, "time": stat.st_mtime_ns}

    def read(self, start: int) -> Iterator[bytes]:
        """Yield the pictures from position ``start`` on; what lies before is only digested."""
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
        """Raise DataFault, with both sums, unless the bytes that were read have the right md5."""
        found = self._digest.hexdigest()
        if found != self._md5:
            raise DataFault(f"{self.path} has md5 {found}, expected {self._md5}", AGAIN)

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
                    raise DataFault(f"{path}: {picture.name} is in it twice", AGAIN)
                found[picture.name] = picture
    except tarfile.TarError as error:
        raise _truncated(path, str(error)) from error
    except OSError as error:
        raise DataFault(
            f"{path} cannot be read: {error.strerror}", "mend its permissions"
        ) from error
    _require_end(path, end)
    if not found:
        raise DataFault(f"{path} holds no picture ({', '.join(suffixes)})", AGAIN)
    return tuple(sorted(found.values(), key=lambda picture: picture.offset))


def _picture(member: tarfile.TarInfo, path: Path, suffixes: Sequence[str]) -> Picture | None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise _hostile(path, member, "its name leads out of the archive")
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        kind = "a link" if member.issym() or member.islnk() else "no ordinary file"
        raise _hostile(path, member, f"it is {kind}")
    if name.suffix.lower() not in suffixes:
        return None
    return Picture(name=name.name, length=member.size, offset=member.offset_data)


def _padded(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _require_end(path: Path, end: int) -> None:
    size = path.stat().st_size
    if end > size:
        raise _truncated(path, f"its last member ends at {end}, the file at {size}")
    with path.open("rb") as stream:
        stream.seek(end)
        if stream.read(END_BYTES) != bytes(END_BYTES):
            raise _truncated(path, "it has no end mark")


def _truncated(path: Path, reason: str) -> DataFault:
    return DataFault(f"{path} is cut short or no tar archive: {reason}", AGAIN)


def _hostile(path: Path, member: tarfile.TarInfo, reason: str) -> DataFault:
    return DataFault(
        f"{path} holds the member {member.name!r}, which is refused: {reason}",
        "take the archive from its maker; the published one has no such member",
    )
