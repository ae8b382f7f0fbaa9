"""The driver's work folders, one per job; a killed driver's are removed at the next start."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

from driver.errors import EnvironmentFault, stages_in
from driver.system.driver_process import DriverProcess
from driver.system.untrusted.documents import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from driver.models.base import StageName

OWNER_FILE = "owner.json"
OWNER_BYTES = 64 << 10
RUNNER_KEY = "runner"
"""What of the owner file says who runs the stages: containers mount their work folder."""
GIB = 1 << 30
FULL_BYTES = 1 << 20
"""With less than this a disk counts as full: a report, a log and a result take about as much."""
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class StageFolder:
    """The folder of one stage or repeat: job.json, out folder, log."""

    folder: Path

    @property
    def job_json(self) -> Path:
        """The stage's job.json."""
        return self.folder / "job.json"

    @property
    def out(self) -> Path:
        """The guest's out folder."""
        return self.folder / "out"

    @property
    def clock(self) -> Path:
        """The folder of the socket at which the guest answers the driver's clock."""
        return self.folder / "clock"

    @property
    def log(self) -> Path:
        """The guest's standard output and error."""
        return self.folder / "stage.log"


class Workspace:
    """A job's work folder, `<home>/work/<job id>-<pid>-<n>`, removed on leaving the block."""

    def __init__(self, home: Path, job_id: str, runner: str = "") -> None:
        self.folder = _new_folder(home / "work", job_id, runner)

    def stage(self, stage: StageName, repeat: int = 0) -> StageFolder:
        """Create the folder of one stage; call it once per (stage, repeat)."""
        made = StageFolder(folder=self.folder / f"{stage.value}-{repeat}")
        # The guest may be another user (if the caller is root), and must reach its out folder.
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


def leftover_folders(home: Path) -> dict[Path, str]:
    """Return the work folders of drivers that are certainly dead, each with its runner, "" if unknown."""
    found = {folder: _owner(folder) for folder in sorted((home / "work").glob("*-*-*"))}
    dead = {folder: owner for folder, owner in found.items() if _is_leftover(folder, owner)}
    return {folder: str((owner or {}).get(RUNNER_KEY, "")) for folder, owner in dead.items()}


def folders_in_use(home: Path) -> list[Path]:
    """Return the work folders whose driver is alive, or on another host and not to be checked from here."""
    found = {folder: _owner(folder) for folder in sorted((home / "work").glob("*-*-*"))}
    return [folder for folder, owner in found.items() if owner and not _is_leftover(folder, owner)]


OWN_REMEDY = "free some space (`make clean` empties the cache), or put ASSAY_HOME on another disk"


def _engines_remedy() -> str:
    return (
        "free some space on the container engine's disk (docker system df, docker image prune), give "
        "the engine a larger one (data-root in /etc/docker/daemon.json), or use "
        f"{stages_in('process')} where the stack can"
    )


def require_room(needed: Mapping[Path, int], *, home: Path, what: str) -> None:
    """Raise EnvironmentFault unless every folder's disk has room for its bytes; one disk is counted once.

    ``home`` is ASSAY_HOME; the other folders are the container engine's.
    """
    disks: defaultdict[int, list[Path]] = defaultdict(list)
    for path in needed:
        disks[_existing(path).stat().st_dev].append(path)
    for paths in disks.values():
        of_engine = [path for path in paths if path != home]
        total = sum(needed[path] for path in paths)
        remedy = _engines_remedy() if of_engine else OWN_REMEDY
        require_free(of_engine[0] if of_engine else home, total, what=what, remedy=remedy)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def require_free(
    path: Path, needed_bytes: int, *, what: str = "this run", remedy: str = OWN_REMEDY
) -> None:
    """Raise EnvironmentFault unless the disk of ``path``, which need not exist, has the free space."""
    free_bytes = shutil.disk_usage(_existing(path)).free
    if free_bytes >= needed_bytes:
        return
    missing = (needed_bytes - free_bytes) / GIB
    raise EnvironmentFault(
        f"{what} needs {needed_bytes / GIB:.1f} GiB at {path}, but only {free_bytes / GIB:.1f} GiB "
        f"are free ({missing:.1f} GiB short)",
        remedy,
    )


def disk_problem(folder: Path) -> str | None:
    """Return why nothing can be written to ``folder`` (no space, no inodes, read-only), None if it can."""
    found = os.statvfs(folder)
    free_bytes = found.f_bavail * found.f_frsize
    if found.f_flag & os.ST_RDONLY:
        return f"the disk of {folder} is read-only"
    if free_bytes < FULL_BYTES:
        size = found.f_blocks * found.f_frsize
        return f"the disk of {folder} is full: {free_bytes:,} of {size:,} bytes are free"
    if found.f_files and not found.f_favail:
        return f"the disk of {folder} has no inode left ({found.f_files:,} are in use)"
    return None


def remove_tree(folder: Path) -> None:
    """Remove a folder even if a guest removed write permissions inside it."""
    if not folder.is_dir():
        return
    for parent, names, _files in os.walk(folder):
        for name in (".", *names):
            inner = Path(parent) / name
            if not inner.is_symlink():
                with suppress(OSError):
                    inner.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _new_folder(work: Path, job_id: str, runner: str) -> Path:
    process = DriverProcess.current()
    work.mkdir(parents=True, exist_ok=True)
    for number in count():
        folder = work / f"{job_id}-{process.pid}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        folder.chmod(0o755)
        (folder / OWNER_FILE).write_text(json.dumps(process.to_dict() | {RUNNER_KEY: runner}))
        return folder
    raise AssertionError


def _owner(folder: Path) -> dict[str, str] | None:
    """Return what the owner file says, {} if it cannot be read, None if there is none."""
    try:
        # A stage without a container could have replaced it.
        owner = read_json(folder, OWNER_FILE, OWNER_BYTES)
    except FileNotFoundError:
        return None
    except (ValueError, OSError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _is_leftover(folder: Path, owner: dict[str, str] | None) -> bool:
    if owner is None:
        return _ownerless(folder)
    try:
        return DriverProcess.from_dict(owner).is_dead()
    except (ValueError, KeyError, TypeError):
        return False


def _ownerless(folder: Path) -> bool:
    # Its driver was killed before writing the owner file, or is about to write it: judge an empty
    # folder by its age. We did not create one that has other content.
    try:
        age_ns = time.time_ns() - folder.stat().st_mtime_ns
        return not any(folder.iterdir()) and age_ns > 60 * SECOND_NS
    except OSError:
        return False
