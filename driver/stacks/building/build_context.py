"""An image's build context: the stack's folder, the wheels of its lock file, and installers."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, BinaryIO

from driver.errors import ImageFault
from driver.stacks.recipes import file_mode, recipe_files
from driver.system.hashing import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from driver.catalog.vendor import Stack


def find_installers(stack: Stack, folder: Path | None) -> dict[str, Path]:
    """Return the vendor's installers by file name, each checked against the manifest's sha256.

    Raises ImageFault when one is missing or different. Installers are never downloaded.
    """
    found = {}
    for installer in stack.manifest.installers:
        path = None if folder is None else folder / installer.file
        if path is None or not path.is_file():
            where = "INSTALLERS is not set" if folder is None else f"it is not in {folder}"
            raise ImageFault(
                f"the stack {stack.name} of {stack.vendor} needs the vendor's installer "
                f"{installer.file}: {where}",
                f"get it from its vendor ({installer.source}; licence: {installer.licence or 'see there'}) "
                "and name its folder: INSTALLERS=<folder>",
            )
        digest = file_sha256(path)
        if installer.sha256 is not None and digest != installer.sha256:
            raise ImageFault(
                f"{path} has sha256 {digest}, but the stack needs {installer.sha256}",
                f"get the tested release ({installer.source}), or pin yours in {stack.folder / 'stack.toml'}",
            )
        found[installer.file] = path
    return found


def write_context(
    stream: BinaryIO, folder: Path, wheels: Iterable[Path], installers: Mapping[str, Path]
) -> None:
    """Write the context as a tar file, without this host's times and owners."""
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as context:
        for path in recipe_files(folder):
            _add(context, path, path.relative_to(folder).as_posix())
        # Add the folders even if empty: COPY of a missing folder is an error.
        for name, paths in (("wheels", {w.name: w for w in wheels}), ("installers", installers)):
            context.addfile(_entry(name, kind=tarfile.DIRTYPE, mode=0o755), io.BytesIO())
            for inside, path in sorted(paths.items()):
                _add(context, path, f"{name}/{inside}")


def _add(context: tarfile.TarFile, path: Path, name: str) -> None:
    entry = _entry(name, kind=tarfile.REGTYPE, mode=file_mode(path))
    with path.open("rb") as stream:
        entry.size = path.stat().st_size
        context.addfile(entry, stream)


def _entry(name: str, *, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry
