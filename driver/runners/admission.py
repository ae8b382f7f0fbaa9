"""What must be true on this host before a container starts, and who owns what it writes."""

from __future__ import annotations

import grp
import os
import stat
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.runners.host_config import Admitted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.containers import ContainerSpec, Mount
    from driver.devices import Devices, HostMount


def admit(spec: ContainerSpec) -> Admitted:
    """Check devices, mounts and permissions; EnvironmentFault names the first that is missing."""
    require_devices(spec.devices)
    mounts = tuple(expanded for mount in spec.mounts for expanded in _without_links(mount))
    for mount in mounts:
        _require_readable(mount, spec)
    return Admitted(
        mounts=mounts,
        host_mounts=_present(spec.devices),
        masks=tuple(mask for mask in spec.masks if _has(spec, mask)),
        group_ids=_group_ids(spec.devices.groups),
    )


def require_devices(devices: Devices) -> None:
    """Raise EnvironmentFault for a device node that is not there, or that is a disk.

    Of a folder, for one without any node, and for one with a disk in it.
    """
    for node in devices.nodes:
        path = Path(node)
        if not path.exists():
            raise EnvironmentFault(
                f"the device node {node} does not exist on this machine",
                "load the vendor's kernel driver, or choose another one with DEVICE=; "
                "`make doctor` shows what is there",
            )
        files = device_files(node)
        if path.is_dir() and not files:
            raise EnvironmentFault(
                f"there is no device node in the folder {node}",
                "load the vendor's kernel driver; `make doctor` shows what is there",
            )
        for file in files:
            if file.is_block_device():
                raise EnvironmentFault(
                    f"{file} is a block device (a disk), which no accelerator is",
                    "mend `nodes` under [devices] of vendor.toml",
                )


def device_files(node: str) -> tuple[Path, ...]:
    """Return the device nodes that a container gets for one of `nodes`: itself, or those in a folder.

    Of a folder (/dev/dri) an engine hands over every node, those of subfolders too, and follows no
    link. Empty where there is none.
    """
    path = Path(node)
    if not path.is_dir():
        return (path,) if _is_device(path) else ()
    found = (Path(parent) / name for parent, _, names in os.walk(path) for name in names)
    return tuple(sorted(file for file in found if not file.is_symlink() and _is_device(file)))


def _is_device(path: Path) -> bool:
    return path.is_char_device() or path.is_block_device()


def _without_links(mount: Mount) -> list[Mount]:
    """Mount a folder file by file where links lead out of it, as in the Hugging Face hub's cache.

    Such a link would point nowhere in the container.
    """
    source = mount.source.resolve()
    if not source.exists():
        raise EnvironmentFault(
            f"{mount.source}, which the stage needs, is not there any more",
            "run again; `make doctor` shows the folders that Assay uses",
        )
    if not source.is_dir() or not mount.read_only or not _leads_out(source):
        return [replace(mount, source=source)]
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    return [
        replace(mount, source=path.resolve(), target=f"{mount.target}/{path.relative_to(source)}")
        for path in files
    ]


def _leads_out(folder: Path) -> bool:
    return any(
        path.is_symlink() and not path.resolve().is_relative_to(folder)
        for path in folder.rglob("*")
    )


def _require_readable(mount: Mount, spec: ContainerSpec) -> None:
    # Only root's guest is another user than the caller: everybody else reads their own files.
    if os.geteuid() != 0 or not mount.read_only:
        return
    source = mount.source
    for path in (source, *source.rglob("*")) if source.is_dir() else (source,):
        if not _readable(path, spec.uid, spec.gid):
            raise EnvironmentFault(
                f"{path} cannot be read by the container's user {spec.uid}, "
                "which stands in for root",
                f"type: chmod -R o+rX '{source}', or run as a normal user",
            )


def _readable(path: Path, uid: int, gid: int) -> bool:
    if path.is_symlink():
        return True
    found = path.stat()
    shift = 6 if found.st_uid == uid else 3 if found.st_gid == gid else 0
    needed = 0o5 if stat.S_ISDIR(found.st_mode) else 0o4
    return (found.st_mode >> shift) & needed == needed


def _present(devices: Devices) -> tuple[HostMount, ...]:
    missing = [m for m in devices.host_mounts if not Path(m.source).exists()]
    for mount in missing:
        if not mount.optional:
            raise EnvironmentFault(
                f"{mount.source}, a part of the vendor's driver, does not exist on this machine",
                "install the vendor's host driver; `make doctor` shows what is there",
            )
    return tuple(mount for mount in devices.host_mounts if mount not in missing)


def _has(spec: ContainerSpec, mask: str) -> bool:
    top, _, inner = mask.partition("/")
    source = spec.source(top)
    return source is not None and (source / inner).is_dir()


def _group_ids(names: tuple[str, ...]) -> tuple[int, ...]:
    # A group that this host does not know can own no device here: nothing is lost without it.
    known = {group.gr_name: group.gr_gid for group in grp.getgrall()}
    return tuple(known[name] for name in names if name in known)


@contextmanager
def lent(spec: ContainerSpec) -> Iterator[None]:
    """Give the writable folders to the guest's user while it runs, where the caller is root.

    ``out`` comes back, since its files are the caller's. ``cache`` stays the guest's: another run
    may be using it at this moment.
    """
    if os.geteuid() != 0:
        yield
        return
    for mount in spec.mounts:
        if not mount.read_only:
            give(mount.source, spec.uid, spec.gid)
    try:
        yield
    finally:
        out = spec.source("out")
        if out is not None:
            give(out, os.geteuid(), os.getegid())


def give(folder: Path, uid: int, gid: int) -> None:
    """Make a folder and everything below it belong to a user; links are not followed."""
    os.chown(folder, uid, gid)
    for parent, names, files in os.walk(folder):
        for name in (*names, *files):
            os.chown(Path(parent) / name, uid, gid, follow_symlinks=False)
