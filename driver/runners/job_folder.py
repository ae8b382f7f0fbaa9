"""The job folder of a stage without a container: symbolic links instead of mounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.system.workspace import remove_tree

if TYPE_CHECKING:
    from driver.runners.spec import ContainerSpec


def lay_out(spec: ContainerSpec) -> tuple[Path, Path]:
    """Create the job folder of a stage without a container.

    Returns the job folder and an empty folder for HOME and TMPDIR, both in ``spec.folder``.
    A folder with masked contents becomes a real folder without them.
    """
    root, tmp = spec.folder / "job", spec.folder / "tmp"
    for folder in (root, tmp):
        if folder.exists():
            remove_tree(folder)
        folder.mkdir()
    for mount in spec.mounts:
        _require_source(mount.source)
        _link(mount.source.absolute(), root / mount.target, {root / mask for mask in spec.masks})
    return root, tmp


def _link(source: Path, target: Path, masked: set[Path]) -> None:
    if target in masked:
        return
    if not any(mask.is_relative_to(target) for mask in masked):
        target.symlink_to(source)
        return
    target.mkdir()
    for entry in source.iterdir():
        _link(entry, target / entry.name, masked)


def _require_source(source: Path) -> None:
    if not source.exists():
        raise EnvironmentFault(
            f"{source}, which the stage needs, no longer exists",
            "run again; `make doctor` lists the folders that Assay uses",
        )
