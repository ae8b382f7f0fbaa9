"""Atomic file writes, sealed files of a cache, and who may read what this process creates."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from driver.errors import DISK_REMEDIES, FREE_SPACE, EnvironmentFault

if TYPE_CHECKING:
    from pathlib import Path


def let_guests_read() -> None:
    """Have what root creates from here on be readable for others, whatever the umask.

    Root's containers run as another user, and read datasets, models and job folders.
    """
    if os.geteuid() == 0:
        os.umask(os.umask(0o022) & 0o022)


def draft_mark() -> str:
    """Return what makes a draft's name this process's own, also on a disk that several hosts share."""
    return f"{os.uname().nodename}-{os.getpid()}"


def write_atomically(path: Path, text: str) -> Path:
    """Write ``text`` so that ``path`` on disk is either unchanged or complete; return ``path``."""
    partial = path.with_name(f".{path.name}.{draft_mark()}.part")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        remedy = DISK_REMEDIES.get(error.errno or 0, FREE_SPACE)
        raise EnvironmentFault(f"{path} cannot be written: {error.strerror}", remedy) from error
    return path


def write_sealed(path: Path, content: bytes | memoryview, version: str) -> bool:
    """Write a file of a cache atomically, with a digest; return whether that was possible.

    A folder that cannot be written is no error: a cache only saves time.
    """
    draft = path.with_name(f".{path.name}.{draft_mark()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(_seal(content, version))
            file.write(content)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        return False
    return True


def read_sealed(path: Path, version: str) -> memoryview | None:
    """Return what ``write_sealed`` wrote with this version, None if it is missing, of another, or damaged."""
    try:
        whole = memoryview(path.read_bytes())
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    content = whole[size:]
    return content if whole[:size] == _seal(content, version) else None


def _seal(content: bytes | memoryview, version: str) -> bytes:
    whole = hashlib.sha256(version.encode() + b"\0")
    whole.update(content)
    return whole.digest()
