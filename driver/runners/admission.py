"""Checks this host before a container starts (devices, mounts, permissions), and sets owners."""

from __future__ import annotations

import glob
import grp
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.runners.host_config import Admitted
from driver.runners.readable import readable_copy, require_readable
from driver.system.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from driver.runners.devices import Devices, HostMount
    from driver.runners.spec import ContainerSpec, Mount


def admit(spec: ContainerSpec) -> Admitted:
    """Check devices, mounts and permissions; EnvironmentFault names the first problem."""
    require_devices(spec.devices)
    mounts = tuple(
        readable_copy(expanded, spec) for mount in spec.mounts for expanded in _without_links(mount)
    )
    for mount in mounts:
        require_readable(mount, spec)
    return Admitted(
        mounts=mounts,
        host_mounts=_present(spec.devices),
        masks=tuple(mask for mask in spec.masks if _has(spec, mask)),
        group_ids=_group_ids(spec.devices.groups),
    )


def require_devices(devices: Devices) -> None:
    """Raise EnvironmentFault for a device node that is missing or is a disk.

    A folder must contain at least one device node, and no disk.
    """
    for node in devices.nodes:
        path = Path(node)
        if not path.exists():
            raise EnvironmentFault(
                f"the device node {node} does not exist on this machine",
                "load the vendor's kernel driver, or select another device with DEVICE=; "
                "`make doctor` lists the devices",
            )
        files = device_files(node)
        if path.is_dir() and not files:
            raise EnvironmentFault(
                f"the folder {node} contains no device node",
                "load the vendor's kernel driver; `make doctor` lists the devices",
            )
        for file in files:
            if file.is_block_device():
                raise EnvironmentFault(
                    f"{file} is a block device (a disk), not an accelerator",
                    "fix `nodes` under [devices] in vendor.toml",
                )


GPU_NODES = ("/dev/nvidia[0-9]*", "/dev/dxg")
"""What the NVIDIA driver makes for its GPUs; /dev/dxg under WSL."""


def require_gpu(devices: Devices, found: Iterable[object], remedy: str) -> None:
    """Raise EnvironmentFault if the engine is asked for GPUs and this machine shows none."""
    problem = gpu_problem(devices, found)
    if problem:
        raise EnvironmentFault(problem, remedy)


def gpu_problem(devices: Devices, found: Iterable[object]) -> str:
    """Return why the engine cannot be asked for GPUs: this machine shows none; "" if it can.

    ``found``: what the monitor reports. Engines on other hosts (DOCKER_HOST) cannot be checked.
    """
    if devices.gpus != "nvidia" or is_elsewhere() or any(found):
        return ""
    if any(glob.glob(pattern) for pattern in GPU_NODES):  # noqa: PTH207  # absolute patterns
        return ""
    return (
        f"this machine has no GPU: no device node {' or '.join(GPU_NODES)}, and the monitor "
        "reports none"
    )


def is_elsewhere() -> bool:
    """Whether DOCKER_HOST may name an engine of another host, whose devices and disk are not ours."""
    named = load_settings().host is not None
    return named or not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")


def require_reported(vendor: str, absent: Sequence[str], known: Sequence[str]) -> None:
    """Raise EnvironmentFault if a selected device is ``absent``: the monitor reports only ``known``."""
    if absent:
        raise EnvironmentFault(
            f"DEVICE={','.join(absent)} does not exist on this machine: its {vendor} devices are "
            f"{', '.join(known)}",
            f"choose one of them: DEVICE={known[0]}",
        )


def device_files(node: str) -> tuple[Path, ...]:
    """Return the device nodes that a container gets for one entry of `nodes`, empty if none exists.

    For a folder (/dev/dri) these are all nodes below it, without following links, as container
    engines do.
    """
    path = Path(node)
    if not path.is_dir():
        return (path,) if _is_device(path) else ()
    found = (Path(parent) / name for parent, _, names in os.walk(path) for name in names)
    return tuple(sorted(file for file in found if not file.is_symlink() and _is_device(file)))


def _is_device(path: Path) -> bool:
    return path.is_char_device() or path.is_block_device()


def _without_links(mount: Mount) -> list[Mount]:
    """Mount a folder file by file if links lead out of it, as in the Hugging Face hub's cache.

    Such links would dangle in the container.
    """
    source = mount.source.resolve()
    if not source.exists():
        raise EnvironmentFault(
            f"{mount.source}, which the stage needs, no longer exists",
            "run again; `make doctor` lists the folders that Assay uses",
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


def _present(devices: Devices) -> tuple[HostMount, ...]:
    missing = [m for m in devices.host_mounts if not Path(m.source).exists()]
    for mount in missing:
        if not mount.optional:
            raise EnvironmentFault(
                f"{mount.source}, part of the vendor's driver, does not exist on this machine",
                "install the vendor's host driver; `make doctor` lists what is missing",
            )
    return tuple(mount for mount in devices.host_mounts if mount not in missing)


def _has(spec: ContainerSpec, mask: str) -> bool:
    top, _, inner = mask.partition("/")
    source = spec.source(top)
    return source is not None and (source / inner).is_dir()


def _group_ids(names: tuple[str, ...]) -> tuple[int, ...]:
    # A group unknown to this host owns no device here: it can be dropped.
    known = {group.gr_name: group.gr_gid for group in grp.getgrall()}
    return tuple(known[name] for name in names if name in known)


@contextmanager
def lent(spec: ContainerSpec) -> Iterator[None]:
    """Lend the writable folders to the guest's user while it runs, if the caller is root.

    ``out`` is given back, since its files belong to the caller. ``cache`` is not: another run may
    be using it.
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
    """Change the owner of a folder and everything below it; links are not followed."""
    os.chown(folder, uid, gid)
    for parent, names, files in os.walk(folder):
        for name in (*names, *files):
            os.chown(Path(parent) / name, uid, gid, follow_symlinks=False)
