"""`lock` and `clean`: what keeps a tree and a host in order."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from driver.locks import lock_all
from driver.settings import load_settings
from driver.workspace import reap_leftovers, remove_tree

if TYPE_CHECKING:
    from pathlib import Path

    from driver.console import Console

CACHES = ("cache",)
EVERYTHING = ("cache", "venvs", "wheelhouse", "uv-cache", "locks")


def make_locks(console: Console, *, everything: bool) -> int:
    """Make the locks that are not current."""
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
    console.say(f"{len(made)} lock(s) made")
    return 0


def clean_home(console: Console, *, everything: bool) -> int:
    """Remove what can be made again; the work folders of living drivers and all results stay."""
    home = load_settings().home
    freed = sum(_size_bytes(folder) for folder in reap_leftovers(home) if folder.exists())
    for name in EVERYTHING if everything else CACHES:
        folder = home / name
        if folder.is_symlink() or not folder.is_dir():
            continue
        freed += _size_bytes(folder)
        _remove(folder, keep=_own_environment() if name == "venvs" else None)
    console.say(f"{freed / 2**30:.2f} GiB freed in {home}; results are where they were")
    return 0


def _remove(folder: Path, keep: Path | None) -> None:
    """Remove a folder, but for the environment that this very process runs in."""
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
    """Return the bytes of a folder's files; one that is linked several times counts once."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values())
