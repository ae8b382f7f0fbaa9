"""Puts a checked bundle into place: all of it under its name at once, or nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Callable, Iterator, NamedTuple

from .faults import BundleFault
from .layout import MANIFEST, SIGNATURE, Place
from .manifest import KEPT, Manifest, destination
from .verification import Opened, Progress, Sink, check_files

SETTINGS = "assay.local.toml"
SPARE_BYTES = 64 << 20
BLOCK_BYTES = 4096
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


class Loaded(NamedTuple):
    """Where a bundle is now; ``present`` says that it was there already."""

    folder: Path
    present: bool


def require_machine(manifest: Manifest) -> None:
    """Raise BundleFault where the bundle's images and wheels are another processor's."""
    found = platform.machine().lower()
    here, wanted = MACHINES.get(found, found), manifest.document.get("machine")
    if wanted != here:
        raise BundleFault(
            f"the bundle is for {wanted}, this machine is {here}",
            "load it on such a machine, or have a bundle made on one like this",
        )


def require_space(manifest: Manifest, folder: Path) -> None:
    """Raise BundleFault unless the disk of ``folder`` has room for everything, blocks rounded up."""
    needed = SPARE_BYTES + sum(
        -(-entry.bytes // BLOCK_BYTES) * BLOCK_BYTES for entry in manifest.entries
    )
    free = shutil.disk_usage(str(folder)).free
    if free < needed:
        raise BundleFault(
            f"loading takes {needed / 2.0**30:.2f} GiB in {folder}, {free / 2.0**30:.2f} GiB are free",
            "free some space, or INTO=<folder on a larger disk>; nothing was written",
        )


def extract(
    opened: Opened,
    into: Path,
    *,
    note: Callable[[str], None],
    progress: Progress | None = None,
) -> Loaded:
    """Check every file while it is copied beside ``into``, then give the folder its name at once.

    In a folder that exists, such as a disk's or an ASSAY_HOME, the bundle gets a folder of its own, and
    nothing else there changes. Everything is on the disk before the folder has its name. A second load
    of the same bundle waits for the first and finds it there. Raises BundleFault; what was written until
    then is removed.
    """
    into = _own_folder(opened.manifest, into.absolute())
    parent = into.parent
    if not parent.is_dir():
        raise BundleFault(
            f"{parent} is not a folder", "make it, or INTO=<folder that is not there yet>"
        )
    if _is_loaded(opened, into):
        return Loaded(into, True)
    require_space(opened.manifest, parent)
    staging = into.with_name(f".{into.name}.loading")
    with _held(staging, note):
        moved = False
        try:
            present = _is_loaded(opened, into)
            if not present:
                _empty(staging)
                _fill(opened, staging, into, progress)
                _to_disk(staging)
                staging.rename(into)
                moved = True
        except OSError as error:
            raise _unwritten(error, into) from None
        finally:
            # Once moved, a folder of that name is another load's.
            if not moved:
                _remove(staging)
    # Without its new name after a power failure, the folder is loaded again.
    with contextlib.suppress(OSError):
        _sync(os.path.realpath(str(parent)))
    return Loaded(into, present)


def _own_folder(manifest: Manifest, into: Path) -> Path:
    """Return ``into``, or a new folder in it where it exists; BundleFault for another bundle or checkout."""
    if not into.is_dir() or _has(into, manifest):
        return into
    if (into / "driver" / "assay").exists():
        raise BundleFault(
            f"{into} is another bundle, or a checkout of Assay",
            "INTO=<another folder>: every bundle has a folder of its own",
        )
    return into / f"assay-{manifest.id}"


def _has(folder: Path, manifest: Manifest) -> bool:
    """Return whether a folder is this very bundle, loaded."""
    try:
        return (folder / KEPT / MANIFEST).read_bytes() == manifest.raw
    except OSError:
        return False


def home_hint(folder: Path) -> str | None:
    """Return what to do about the caller's ASSAY_HOME, which takes the place of a loaded folder's own."""
    home = os.environ.get("ASSAY_HOME")
    if not home or Path(home).absolute() == folder / ".assay":
        return None
    own = folder / ".assay"
    return f"unset ASSAY_HOME ({home}) first: the bundle's wheels, models and data are in {own}"


def _unwritten(error: OSError, into: Path) -> BundleFault:
    remedy = "INTO=<folder that is not there yet>; nothing is left of this load"
    if error.errno == errno.ENOSPC:
        remedy = "free some space, or INTO=<folder on a larger disk>; nothing is left of this load"
    return BundleFault(f"the bundle cannot be loaded into {into}: {error.strerror}", remedy)


def _is_loaded(opened: Opened, into: Path) -> bool:
    """Say whether this very bundle is there; BundleFault where something else is."""
    if not into.exists() and not into.is_symlink():
        return False
    if not _has(into, opened.manifest):
        raise BundleFault(
            f"{into} exists, and is not this bundle",
            "INTO=<folder that is not there yet>, or remove it",
        )
    return True


@contextlib.contextmanager
def _held(staging: Path, note: Callable[[str], None]) -> Iterator[None]:
    """Hold the staging folder alone; its kernel lock goes with whoever held it."""
    while True:
        with contextlib.suppress(FileExistsError):
            staging.mkdir(0o700)
        try:
            handle = os.open(
                str(staging), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unwritten(error, staging) from None
        try:
            _lock(handle, staging, note)
            if _is_same(handle, staging):
                yield
                return
        finally:
            os.close(handle)


def _lock(handle: int, staging: Path, note: Callable[[str], None]) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(f"waiting for another load into {staging}")
        fcntl.flock(handle, fcntl.LOCK_EX)


def _is_same(handle: int, path: Path) -> bool:
    """Say whether a folder still has its name: the load that this one waited for has moved it."""
    try:
        there, held = path.stat(), os.fstat(handle)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)


def _empty(folder: Path) -> None:
    """Remove what a killed load left."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(str(entry))
        else:
            entry.unlink()


def _remove(folder: Path) -> None:
    shutil.rmtree(str(folder), ignore_errors=True)


def _fill(opened: Opened, staging: Path, into: Path, progress: Progress | None) -> None:
    targets = [staging / destination(entry.path) for entry in opened.manifest.entries]
    for folder in sorted({target.parent for target in targets} | {staging / KEPT}):
        folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def sink(place: Place) -> Iterator[Sink]:
        path = str(staging / destination(place.entry.path))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(path, flags, place.entry.mode)
        try:
            os.fchmod(handle, place.entry.mode)
            yield lambda chunk: _write(handle, chunk)
        finally:
            os.close(handle)

    check_files(opened, sink, progress)
    _keep(staging / KEPT / MANIFEST, opened.manifest.raw)
    if opened.signature is not None:
        _keep(staging / KEPT / SIGNATURE, opened.signature)
    text = settings_text(opened.manifest, into)
    _keep(staging / SETTINGS, text.encode("utf-8"))
    staging.chmod(0o755)


def _to_disk(folder: Path) -> None:
    """Write everything below a folder to the disk, so that a power failure cannot leave its name alone.

    All of it at the end, when the kernel has written most files already.
    """
    for parent, _, files in os.walk(str(folder), topdown=False):
        for name in files:
            _sync(str(Path(parent) / name))
        _sync(parent)


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot do it for folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


def _write(handle: int, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(handle, chunk) :]


def _keep(path: Path, content: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(content)


def settings_text(manifest: Manifest, into: Path) -> str:
    """Return assay.local.toml of a loaded folder: offline, and where the bundle's weights are."""
    lines = [
        f"# Written by the load of bundle {manifest.id}; see docs/settings.md.",
        "offline = true",
    ]
    for setting, kind in (("vendor_path", "vendors"), ("case_path", "cases")):
        folders = [str(into / ".assay" / kind / name) for name in _folders(manifest, kind)]
        if folders:
            lines.append(f"{setting} = {json.dumps(folders)}")
    cases = _folders(manifest, "weights")
    if cases:
        lines += ["", "[weights]"]
        lines += [
            f"{json.dumps(case)} = {json.dumps(str(into / '.assay' / 'weights' / case))}"
            for case in cases
        ]
    return "\n".join(lines) + "\n"


def _folders(manifest: Manifest, kind: str) -> list[str]:
    """Return the names of the folders below home/<kind>/."""
    start = f"home/{kind}/"
    paths = [entry.path for entry in manifest.entries if entry.path.startswith(start)]
    return sorted({path.split("/")[2] for path in paths if path.count("/") > 2})
