"""Whether the user that a container runs as can read what it gets, and readable copies where not."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.system.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from driver.runners.spec import ContainerSpec, Mount

CODE = frozenset({"harness", "case", "hook"})
TREE = (ROOT / "cases", ROOT / "vendor_hooks")


def readable_copy(mount: Mount, spec: ContainerSpec) -> Mount:
    """Mount a readable copy of code or of a file of the tree that only root can read.

    A tree cloned under umask 077 has no others.
    """
    ours = mount.target.split("/")[0] in CODE or any(map(mount.source.is_relative_to, TREE))
    if not ours or _unreadable(mount, spec) is None:
        return mount
    copy = spec.folder / "readable" / mount.target
    copy.parent.mkdir(parents=True, exist_ok=True)
    if mount.source.is_dir():
        shutil.copytree(mount.source, copy, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy(mount.source, copy)
    for path in (copy, *copy.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 6)
    return replace(mount, source=copy)


def require_readable(mount: Mount, spec: ContainerSpec) -> None:
    """Raise EnvironmentFault for a path that the guest's user cannot read."""
    path = _unreadable(mount, spec)
    if path is not None:
        raise EnvironmentFault(
            f"{path} is not readable by user {spec.uid}, which the container runs as "
            "instead of root",
            f"type: chmod -R o+rX '{mount.source}', or run as a normal user",
        )


def _unreadable(mount: Mount, spec: ContainerSpec) -> Path | None:
    """Return the first path that the guest cannot read, None when it can read everything."""
    # Only for root does the guest run as another user; everybody else reads their own files.
    if os.geteuid() != 0 or not mount.read_only:
        return None
    source = mount.source
    paths = (source, *source.rglob("*")) if source.is_dir() else (source,)
    return next((path for path in paths if not _readable(path, spec.uid, spec.gid)), None)


def _readable(path: Path, uid: int, gid: int) -> bool:
    if path.is_symlink():
        return True
    found = path.stat()
    shift = 6 if found.st_uid == uid else 3 if found.st_gid == gid else 0
    needed = 0o5 if stat.S_ISDIR(found.st_mode) else 0o4
    return (found.st_mode >> shift) & needed == needed
