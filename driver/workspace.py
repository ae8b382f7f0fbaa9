"""The driver's work folders: one a job, gone at its end; a killed driver's go at the next start."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

from driver.errors import EnvironmentFault
from driver.identity import DriverProcess

if TYPE_CHECKING:
    from types import TracebackType

    from driver.containers import ContainerSpec
    from driver.models.base import StageName

OWNER_FILE = "owner.json"
GIB = 1 << 30
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class StageFolder:
    """The folder of one stage (or repeat): its job.json, its out folder, its log."""

    folder: Path

    @property
    def job_json(self) -> Path:
        """Where the driver writes the stage's job.json."""
        return self.folder / "job.json"

    @property
    def out(self) -> Path:
        """The guest's out folder."""
        return self.folder / "out"

    @property
    def log(self) -> Path:
        """The guest's standard output and error."""
        return self.folder / "stage.log"

    def keep(self, destination: Path) -> None:
        """Copy log and out into a result's folder; out's links and special files stay behind.

        ``destination`` is made; files that are there already are replaced.
        """
        destination.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            shutil.copyfile(self.log, destination / self.log.name)
        for folder, names, files in os.walk(self.out):
            # A guest's link could name any file of the host: only its own bytes are taken.
            names[:] = [name for name in names if not (Path(folder) / name).is_symlink()]
            target = destination / Path(folder).relative_to(self.out)
            target.mkdir(parents=True, exist_ok=True)
            for name in files:
                source = Path(folder) / name
                if source.is_file() and not source.is_symlink():
                    shutil.copyfile(source, target / name)


class Workspace:
    """A job's work folder, `<home>/work/<job id>-<pid>-<n>`; leaving the block removes it."""

    def __init__(self, home: Path, job_id: str) -> None:
        self.folder = _new_folder(home / "work", job_id)

    def stage(self, stage: StageName, repeat: int = 0) -> StageFolder:
        """Make the folder of one stage; each (stage, repeat) once."""
        made = StageFolder(folder=self.folder / f"{stage.value}-{repeat}")
        # The guest may be another user (the caller being root): it must get as far as its out.
        for folder in (made.folder, made.out):
            folder.mkdir()
            folder.chmod(0o755)
        return made

    def close(self) -> None:
        """Remove the folder and everything in it."""
        remove_tree(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def reap_leftovers(home: Path) -> list[Path]:
    """Remove the work folders of drivers that are certainly dead, and return which."""
    work = home / "work"
    leftovers = [folder for folder in sorted(work.glob("*-*-*")) if _is_leftover(folder)]
    for folder in leftovers:
        remove_tree(folder)
    return leftovers


def require_free(path: Path, needed_bytes: int, *, what: str = "this run") -> None:
    """Raise EnvironmentFault unless the disk under ``path`` has room; the path need not exist."""
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes >= needed_bytes:
        return
    missing = (needed_bytes - free_bytes) / GIB
    raise EnvironmentFault(
        f"{what} needs {needed_bytes / GIB:.1f} GiB at {path}, {free_bytes / GIB:.1f} GiB are free: "
        f"{missing:.1f} GiB are missing",
        "free some space (`make clean` empties the cache), or set ASSAY_HOME to another disk",
    )


def lay_out(spec: ContainerSpec) -> tuple[Path, Path]:
    """Make the job folder of symbolic links, for a stage without a container.

    Returns the job folder and an empty folder for HOME and TMPDIR, both in ``spec.folder``.
    A folder with something masked becomes a real folder that lacks it.
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


def remove_tree(folder: Path) -> None:
    """Remove a folder although a guest may have taken the write permission from parts of it."""
    if not folder.is_dir():
        return
    for parent, names, _files in os.walk(folder):
        for name in (".", *names):
            inner = Path(parent) / name
            if not inner.is_symlink():
                with suppress(OSError):
                    inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


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
            f"{source}, which the stage needs, is not there any more",
            "run again; `make doctor` shows the folders that Assay uses",
        )


def _new_folder(work: Path, job_id: str) -> Path:
    process = DriverProcess.current()
    work.mkdir(parents=True, exist_ok=True)
    for number in count():
        folder = work / f"{job_id}-{process.pid}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        folder.chmod(0o755)
        (folder / OWNER_FILE).write_text(json.dumps(process.to_dict()))
        return folder
    raise AssertionError


def _is_leftover(folder: Path) -> bool:
    try:
        owner = DriverProcess.from_dict(json.loads((folder / OWNER_FILE).read_text()))
    except FileNotFoundError:
        return _ownerless(folder)
    except (ValueError, KeyError, TypeError, OSError):
        return False
    return owner.is_dead()


def _ownerless(folder: Path) -> bool:
    # Killed between making the folder and signing it, or just about to sign it: an empty folder
    # is judged by its age. One with content is not of our making.
    try:
        age_ns = time.time_ns() - folder.stat().st_mtime_ns
        return not any(folder.iterdir()) and age_ns > 60 * SECOND_NS
    except OSError:
        return False
