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
from driver.system.hashing import remembered_digest
from driver.system.untrusted import opener
from driver.system.untrusted.opener import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

READ_ONLY_FILE, READ_ONLY_FOLDER = 0o444, 0o555
OWN_FILE, OWN_FOLDER = 0o644, 0o755
ENTRIES = 100_000
"""More than any stage leaves; the quota of its bytes is checked meanwhile."""

LARGEST_BYTES = 1 << 50
WRITTEN = frozenset({"out", "cache", "model", "golden", "infer", "validate"})
"""The mounts that guests wrote, in this job or in an earlier one."""

LOOK_EVERY_BYTES = 8 << 20


@contextmanager
def packed(
    items: Iterable[tuple[str, Path | None]], *, owner: int = 0, masks: Sequence[str] = ()
) -> Iterator[IO[bytes]]:
    """Yield an archive of (name there, file or folder here or None for an empty folder).

    What the user or the tree holds is packed with its links followed: what they lead to is not on the
    other host. What a guest wrote (WRITTEN) is opened as such. What is packed belongs to the user
    ``owner`` there; of ``masks`` only an empty folder is packed. The name "." is the target itself.
    """
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name, path in items:
                _pack(archive, name, path, owner, masks)
        file.seek(0)
        yield file


def _pack(
    archive: tarfile.TarFile, name: str, path: Path | None, owner: int, masks: Sequence[str]
) -> None:
    if path is None or name in masks:
        archive.addfile(_entry(name, owner, is_folder=True))
        return
    source = source_of(name, path)
    if path.is_file():
        _add(archive, name, path.parent, path.name, owner, source)
        return
    archive.addfile(_entry(name, owner, is_folder=True))
    start = "" if name == "." else f"{name}/"
    for inner in _folders_below(path, source):
        if not _is_hidden(f"{start}{inner}", masks, itself=False):
            archive.addfile(_entry(f"{start}{inner}", owner, is_folder=True))
    for inner in _files_below(path, source):
        if not _is_hidden(f"{start}{inner}", masks):
            _add(archive, f"{start}{inner}", path, inner, owner, source)


def source_of(name: str, path: Path) -> Source:
    """Return who may have written what is mounted as ``name``, or as ``path.name`` for the name "."."""
    return Source.CACHE if {name, path.name} & WRITTEN else Source.USER


def _is_hidden(name: str, masks: Sequence[str], *, itself: bool = True) -> bool:
    return any(name.startswith(f"{mask}/") or (itself and name == mask) for mask in masks)


def _folders_below(folder: Path, source: Source) -> list[str]:
    walked = os.walk(folder, followlinks=source is Source.USER)
    found = [Path(parent).relative_to(folder).as_posix() for parent, _, _ in walked]
    return sorted(name for name in found if name != ".")


def _files_below(folder: Path, source: Source) -> list[str]:
    if source is not Source.USER:
        return opener.files_below(folder)
    walked = os.walk(folder, followlinks=True)
    paths = (Path(parent) / name for parent, _, names in walked for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in paths if path.is_file())


def _add(
    archive: tarfile.TarFile, name: str, folder: Path, inner: str, owner: int, source: Source
) -> None:
    with opener.opened(folder, inner, LARGEST_BYTES, source=source) as content:
        status = os.fstat(content.fileno())
        entry = _entry(name, owner, is_folder=False)
        entry.mode |= 0o111 if status.st_mode & 0o100 else 0
        entry.size = status.st_size
        archive.addfile(entry, content)


def _entry(name: str, owner: int, *, is_folder: bool) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.uid = entry.gid = owner
    entry.type = tarfile.DIRTYPE if is_folder else tarfile.REGTYPE
    modes = (OWN_FILE, OWN_FOLDER) if owner else (READ_ONLY_FILE, READ_ONLY_FOLDER)
    entry.mode = modes[is_folder]
    return entry


def content_digest(folder: Path, memory: Path) -> str:
    """Return the sha256 (hex) of a folder's content: names and digests of its files, links followed."""
    source, whole = source_of(folder.name, folder), hashlib.sha256()
    for name in _files_below(folder, source):
        with opener.opened(folder, name, LARGEST_BYTES, source=source) as content:
            digest = remembered_digest(content, folder / name, memory)
        whole.update(f"{name}\0{digest}\n".encode())
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
