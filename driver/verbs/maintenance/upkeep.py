"""`lock` and `clean`: update lock files, and free disk space."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.runners.engine.client import connect
from driver.runners.engine.containers import reap_volumes
from driver.runners.leftovers import reap_leftovers
from driver.stacks.archived.sif import FOLDER as SIFS
from driver.stacks.archived.sif import remove_sifs
from driver.stacks.image_removal import remove_images
from driver.stacks.locks import lock_all
from driver.system.plain_text import counted
from driver.system.settings import load_settings
from driver.system.workspace import folders_in_use, leftover_folders, remove_tree

if TYPE_CHECKING:
    from pathlib import Path

    from driver.console import Console
    from driver.runners.leftovers import Engine

CACHES = ("cache",)
EVERYTHING = ("cache", "venvs", "wheelhouse", "uv-cache", "locks")


def make_locks(console: Console, *, everything: bool) -> int:
    """Make the lock files that are out of date, or all of them with ``everything``."""
    settings = load_settings()
    made = lock_all(
        settings.root,
        torch_index=settings.torch_index,
        on_progress=console.note,
        everything=everything,
        vendor_path=settings.vendor_path,
    )
    for path in made:
        inside = path.is_relative_to(settings.root)
        console.text(str(path.relative_to(settings.root) if inside else path))
    console.say(f"{counted(len(made), 'lock')} made")
    return 0


def clean_home(console: Console, *, everything: bool, images: bool = False) -> int:
    """Remove caches, or everything that can be rebuilt, and with ``images`` Assay's images; keep results.

    Raises EnvironmentFault, with nothing removed but leftovers, while a run of this home is in progress.
    """
    settings = load_settings()
    home = settings.home
    if settings.host is not None:
        return _clean_host(settings.host, home, console, images=images)
    leftovers = {folder: _size_bytes(folder) for folder in leftover_folders(home)}
    engine = reap_leftovers(home, console.note, ask_engine=True)
    _require_idle(home, engine)
    freed = sum(size for folder, size in leftovers.items() if not folder.exists())
    for name in EVERYTHING if everything else CACHES:
        folder = home / name
        if folder.is_symlink() or not folder.is_dir():
            continue
        freed += _size_bytes(folder)
        _remove(folder, keep=_own_environment() if name == "venvs" else None)
    if images:
        freed += _size_bytes(home / SIFS)
        removed = remove_sifs(home)
        if removed:
            console.say(f"{counted(removed, 'image')} of Apptainer's removed")
    console.say(f"{freed / 2**30:.2f} GiB freed in {home}; results were kept")
    return _clean_images(console) if images else 0


def _clean_host(host: str, home: Path, console: Console, *, images: bool) -> int:
    """Remove what this home keeps on another host: leftovers, and the volumes of inputs."""
    reap_leftovers(home, console.note, ask_engine=True)
    client = connect()
    try:
        removed = reap_volumes(client, home, content=True)
    finally:
        client.close()
    console.say(f"{counted(len(removed), 'volume')} removed on {host}; nothing was removed here")
    return _clean_images(console) if images else 0


def _require_idle(home: Path, engine: Engine) -> None:
    """Raise EnvironmentFault if a run or a container of this home still uses what is to be removed."""
    users = [*map(str, folders_in_use(home)), *(f"container {name}" for name, _ in engine.kept)]
    if users:
        raise EnvironmentFault(
            f"nothing was removed: runs of {home} are in progress ({', '.join(users)})",
            "wait for them or interrupt them, then type it again; of a host that is gone, remove the "
            "folder (rm -r), or the container (docker rm -f)",
        )


def _clean_images(console: Console) -> int:
    """Remove Assay's images; return 3 if the engine refused one."""
    done = remove_images()
    console.say(
        f"{counted(len(done.removed), 'image')} removed from the engine: {', '.join(done.removed) or '/'}"
    )
    if not done.refused:
        return 0
    raise EnvironmentFault(
        f"the engine kept {', '.join(done.refused)}, which a container uses",
        "remove that container if it is yours (docker ps -a), then: make clean IMAGES=1",
    )


def _remove(folder: Path, keep: Path | None) -> None:
    """Remove a folder, except for the entry ``keep`` and its lock."""
    for entry in folder.iterdir():
        if keep is not None and keep.name in (entry.name, entry.name.removesuffix(".lock")):
            continue
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(entry)
        else:
            entry.unlink(missing_ok=True)
    if keep is None:
        shutil.rmtree(folder, ignore_errors=True)


def _own_environment() -> Path:
    import sys
    from pathlib import Path

    return Path(sys.prefix)


def _size_bytes(folder: Path) -> int:
    """Return the bytes of a folder's files; a file with several hard links counts once."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values())
