"""Opens files that a guest may have written or replaced. Nothing else opens `out` or the caches.

A guest can leave anything under the name of a file: a link to a file of the host, a pipe that never
ends, a device, terabytes of zeros. What is opened here is a regular file of a known owner and a
limited size, and no link leads to it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from contextlib import ExitStack
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT_STAND_IN = 10001
"""uid and gid of the guest when the caller is root; unused on a usual host."""

KIND_OF_MODE = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
)
_ANY = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_FOLDER = _ANY | os.O_DIRECTORY
_FILE = _ANY | os.O_NONBLOCK | os.O_NOCTTY
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.ENXIO)
COPY_BYTES = 1 << 20


class Source(Enum):
    """Who may have written a file, and so what is asked of it.

    ``GUEST``: no link leads to it, it has one name, and its owner is us, the guest or the folder's.
    ``CACHE``: as ``GUEST``, but a backup may have linked it and root may own it; its digest is
    checked. ``USER``: a folder that the user named, whose links and owners are the user's choice.
    """

    GUEST = "guest"
    CACHE = "cache"
    USER = "user"


class RefusedFile(Exception):
    """A file that may not be read; the text names it below its folder, and says why."""


class Usage(NamedTuple):
    """What a folder takes on disk, and the first entry in it that is neither file nor folder."""

    bytes: int
    entries: int
    odd: str | None


def opened(
    folder: Path, name: str, limit_bytes: int, *, source: Source = Source.GUEST
) -> IO[bytes]:
    """Open the regular file ``name`` (``/`` for inner folders) below ``folder``, without waiting.

    Raises RefusedFile for anything but a regular file of at most ``limit_bytes`` that is as
    ``source`` says; FileNotFoundError where there is none; OSError for a fault of the disk.
    """
    if source is Source.USER:
        folder, name = _followed(folder, name)
    *parents, last = _parts(name)
    with ExitStack() as held:
        try:
            at = _held(held, os.open(folder, _FOLDER))
            owner = os.fstat(at).st_uid
            for part in parents:
                at = _held(held, os.open(part, _FOLDER, dir_fd=at))
            # Before it is opened: opening a device may already do something.
            before = os.stat(last, dir_fd=at, follow_symlinks=False)
            _require(before, name, limit_bytes, source, owner)
            file = os.open(last, _FILE, dir_fd=at)
        except OSError as error:
            if error.errno in _FORBIDDEN:
                raise RefusedFile(f"{name} may not be opened: {error.strerror}") from error
            raise
    stream = os.fdopen(file, "rb")
    try:
        # Again: it may have been replaced meanwhile.
        _require(os.fstat(file), name, limit_bytes, source, owner)
    except RefusedFile:
        stream.close()
        raise
    return stream


def read(folder: Path, name: str, limit_bytes: int, *, source: Source = Source.GUEST) -> bytes:
    """Return a file's bytes; raises as ``opened`` does."""
    with opened(folder, name, limit_bytes, source=source) as stream:
        content = stream.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise RefusedFile(f"{name} grew beyond {limit_bytes:,} bytes while it was read")
    return content


def copy(folder: Path, name: str, target: Path, limit_bytes: int) -> str:
    """Copy a file to the new file ``target`` and return its sha256 (hex); raises as ``opened`` does."""
    digest, left = hashlib.sha256(), limit_bytes
    with opened(folder, name, limit_bytes) as source, target.open("xb") as copied:
        while chunk := source.read(COPY_BYTES):
            left -= len(chunk)
            if left < 0:
                raise RefusedFile(f"{name} grew beyond {limit_bytes:,} bytes while it was copied")
            digest.update(chunk)
            copied.write(chunk)
    return digest.hexdigest()


def take(folder: Path, name: str, target: Path) -> None:
    """Move ``name``, a file or folder without anything odd in it, from ``folder`` to ``target``.

    Raises RefusedFile if there is a link, a pipe, a device, or a file with a second name in it.
    """
    source = folder / name
    found = source.lstat()
    odd = usage(source).odd if stat.S_ISDIR(found.st_mode) else _oddity(found)
    if odd is not None:
        raise RefusedFile(
            f"{name} contains {odd}" if stat.S_ISDIR(found.st_mode) else f"{name} is {odd}"
        )
    shutil.move(source, target)


def usage(folder: Path) -> Usage:
    """Return what ``folder`` takes on disk; entries that vanish meanwhile are left out."""
    total = entries = 0
    odd: str | None = None
    for name, found in _walked(folder):
        entries += 1
        total += found.st_blocks * 512
        kind = _oddity(found)
        if odd is None and kind is not None:
            odd = f"{name}, which is {kind}"
    return Usage(total, entries, odd)


def files_below(folder: Path) -> list[str]:
    """Return the regular files below ``folder``, relative to it, sorted; links are not followed."""
    return sorted(name for name, found in _walked(folder) if stat.S_ISREG(found.st_mode))


def _walked(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every entry below ``folder`` as (relative name, lstat), without following a link."""
    if not folder.is_dir():
        return
    for parent, names, files, at in os.fwalk(folder, follow_symlinks=False, onerror=_refuse):
        start = Path(parent).relative_to(folder)
        for name in (*names, *files):
            try:
                yield (start / name).as_posix(), os.stat(name, dir_fd=at, follow_symlinks=False)
            except FileNotFoundError:
                continue


def _refuse(error: OSError) -> None:
    """Refuse a folder that cannot be listed; one that has vanished is left out."""
    if not isinstance(error, FileNotFoundError):
        raise RefusedFile(f"the folder {error.filename} cannot be listed: {error.strerror}")


def _parts(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise RefusedFile(f"{name!r} is not a name below its folder")
    return parts


def _held(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _followed(folder: Path, name: str) -> tuple[Path, str]:
    _parts(name)
    path = (folder / name).resolve()
    return path.parent, path.name


def _require(
    found: os.stat_result, name: str, limit_bytes: int, source: Source, owner: int
) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise RefusedFile(f"{name} is {_kind(found)}, not a file")
    if source is Source.GUEST and found.st_nlink > 1:
        raise RefusedFile(f"{name} is {_oddity(found)}")
    if source is not Source.USER and found.st_uid not in _owners(owner, source):
        raise RefusedFile(f"{name} belongs to user {found.st_uid}, who had no part in this job")
    if found.st_size > limit_bytes:
        raise RefusedFile(
            f"{name} has {found.st_size:,} bytes, more than the {limit_bytes:,} allowed"
        )


def _owners(of_folder: int, source: Source) -> set[int]:
    ours = os.geteuid()
    owners = {ours, of_folder}
    if ours == 0:
        owners.add(ROOT_STAND_IN)
    if source is Source.CACHE:
        owners.add(0)
    return owners


def _oddity(found: os.stat_result) -> str | None:
    """Return what an entry is that is neither a file of one name nor a folder, else None."""
    if stat.S_ISDIR(found.st_mode):
        return None
    if stat.S_ISREG(found.st_mode):
        return None if found.st_nlink < 2 else "a hard link, the second name of another file"
    return _kind(found)


def _kind(found: os.stat_result) -> str:
    return next((text for is_it, text in KIND_OF_MODE if is_it(found.st_mode)), "a device")
