"""Folders on their way to an engine of another host and back: archives, and digests of what is kept there."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from driver.errors import ContractFault
from driver.system.hashing import remembered_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

READ_ONLY_FILE, READ_ONLY_FOLDER = 0o444, 0o555
OWN_FILE, OWN_FOLDER = 0o644, 0o755
ENTRIES = 100_000
"""More than any stage leaves; the quota of its bytes is checked meanwhile."""

LOOK_EVERY_BYTES = 8 << 20


@contextmanager
def packed(
    items: Iterable[tuple[str, Path | None]], *, owner: int = 0, masks: Sequence[str] = ()
) -> Iterator[IO[bytes]]:
    """Yield an archive of (name there, file or folder here or None for an empty folder).

    Links are followed: what they lead to is not on the other host. What is packed belongs to the user
    ``owner`` there; of ``masks`` only an empty folder is packed. The name "." is the target itself.
    """
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w", dereference=True) as archive:
            for name, path in items:
                for found, inner in _entries(path, name, masks):
                    _add(archive, found, inner, owner)
        file.seek(0)
        yield file


def _entries(
    path: Path | None, name: str, masks: Sequence[str]
) -> Iterator[tuple[Path | None, str]]:
    hidden = name in masks
    yield (None if hidden else path), name
    if path is None or hidden or not path.is_dir():
        return
    for entry in sorted(path.iterdir()):
        inner = entry.name if name == "." else f"{name}/{entry.name}"
        yield from _entries(entry, inner, masks)


def _add(archive: tarfile.TarFile, path: Path | None, name: str, owner: int) -> None:
    is_file = path is not None and path.is_file()
    entry = tarfile.TarInfo(name)
    entry.uid = entry.gid = owner
    ours = owner != 0
    if not is_file or path is None:
        entry.type = tarfile.DIRTYPE
        entry.mode = OWN_FOLDER if ours else READ_ONLY_FOLDER
        archive.addfile(entry)
        return
    status = path.stat()
    runs = 0o111 if status.st_mode & 0o100 else 0
    entry.mode = (OWN_FILE if ours else READ_ONLY_FILE) | runs
    entry.size = status.st_size
    with path.open("rb") as content:
        archive.addfile(entry, content)


def content_digest(path: Path, memory: Path) -> str:
    """Return the sha256 (hex) of a folder's or a file's content: names, sizes and digests, links followed."""
    whole = hashlib.sha256()
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    for file in files:
        name = file.relative_to(path).as_posix()
        whole.update(f"{name}\0{remembered_sha256(file, memory)}\n".encode())
    return whole.hexdigest()


def unpack(chunks: Iterable[bytes], folder: Path, look: Callable[[], None]) -> None:
    """Write an archive's files and folders below ``folder``, without its first component.

    The other host's guest may have left anything: nothing but regular files and folders is written,
    none through a link, and ``look`` is called while bytes arrive, to enforce the stage's quota. Raises
    ContractFault for a link, a pipe, a device or a name that leads out.
    """
    entries = unseen = 0
    with tarfile.open(fileobj=cast("IO[bytes]", _Stream(chunks)), mode="r|") as archive:
        for entry in archive:
            entries += 1
            parts = PurePosixPath(entry.name).parts[1:]
            if ".." in parts or entry.name.startswith("/") or entries > ENTRIES:
                raise _odd(f"{entries:,} files" if entries > ENTRIES else f"the name {entry.name}")
            if not parts:
                continue
            target = folder.joinpath(*parts)
            if entry.isdir():
                target.mkdir(exist_ok=True)
                continue
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is None:
                raise _odd(f"{'/'.join(parts)}, which is neither a file nor a folder")
            unseen = _write(content, target, look, unseen)
    look()


def _write(content: IO[bytes], target: Path, look: Callable[[], None], unseen: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o644), "wb") as file:
        while chunk := content.read(1 << 20):
            file.write(chunk)
            unseen += len(chunk)
            if unseen > LOOK_EVERY_BYTES:
                look()
                unseen = 0
    return unseen


def _odd(what: str) -> ContractFault:
    return ContractFault(
        f"the stage left {what} in its out folder on the other host",
        "docs/contract.md says what a stage may leave in its out folder; write the rest to TMPDIR",
    )


class _Stream:
    """An iterable of chunks, as much of a file as reading a tar stream takes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = b""

    def read(self, count: int) -> bytes:
        """Return ``count`` bytes, fewer only at the end."""
        parts, missing = [], count
        while missing:
            self._left = self._left or next(self._chunks, b"")
            if not self._left:
                break
            parts.append(self._left[:missing])
            self._left = self._left[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)
