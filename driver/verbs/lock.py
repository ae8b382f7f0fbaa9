"""`lock`: the hashed lock files, made from every requirements.in of the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.locks import lock_all
from driver.settings import ROOT, load_settings

if TYPE_CHECKING:
    from driver.console import Console


def make_locks(console: Console, *, everything: bool) -> int:
    """Make the locks whose requirements.in has changed, or all of them."""
    made = lock_all(
        ROOT,
        torch_index=load_settings().torch_index,
        on_progress=console.note,
        everything=everything,
    )
    console.say(f"{len(made)} lock file(s) written" if made else "every lock file is up to date")
    return 0
