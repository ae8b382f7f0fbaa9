"""Atomic file writes, and who may read what this process creates."""

from __future__ import annotations

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
