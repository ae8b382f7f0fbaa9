"""`clean`: gives disk space back; nothing that a living run uses, and no result, is touched."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.settings import ROOT, load_settings
from driver.workspace import reap_leftovers, remove_tree

if TYPE_CHECKING:
    from pathlib import Path

    from driver.console import Console

CACHES = ("cache", "uv-cache")
MADE_ONCE = ("venvs", "wheelhouse", "locks")
MIB = 1 << 20


def clean(console: Console, *, everything: bool) -> int:
    """Remove caches and dead drivers' work folders; with ``everything`` environments and wheels too.

    The driver's own environment stays while it runs from it. Raises UsageFault while a run works.
    """
    home = load_settings().home
    reap_leftovers(home)
    living = sorted(path.name for path in home.glob("work/*-*-*"))
    if living:
        raise UsageFault(
            f"{len(living)} run(s) are at work in {home / 'work'}: {', '.join(living[:3])}",
            "wait for their end, or stop them with Ctrl-C, then: make clean",
        )
    free_before = shutil.disk_usage(home if home.exists() else ROOT).free
    for name in (*CACHES, *(MADE_ONCE if everything else ())):
        _empty(home / name)
    freed = shutil.disk_usage(home if home.exists() else ROOT).free - free_before
    console.say(f"{max(freed, 0) / MIB:.0f} MiB are free again in {home}; results are untouched")
    return 0


def _empty(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        return
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("driver-"):
            continue
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(entry)
        else:
            entry.unlink()
