"""`new-vendor` and `new-case`: create a folder that passes its check except for the marked parts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from driver.check.marks import find_marks
from driver.errors import UsageFault
from driver.system.plain_text import counted
from driver.system.settings import load_settings
from driver.verbs.maintenance.scaffold import new_case, new_vendor

if TYPE_CHECKING:
    from driver.console import Console
    from driver.verbs.maintenance.scaffold import NewFolder


def make_vendor(name: str | None, into: str | None, console: Console) -> int:
    """Create a vendor's folder; ``into`` is the parent folder of a private one. Raises UsageFault."""
    target = _target(into)
    made = new_vendor(_required(name), load_settings().root, target)
    _show(made, console)
    path = f" VENDOR_PATH={shlex.quote(str(made.folder))}" if target else ""
    console.say(f"next: make check VENDOR={made.folder.name}{path}")
    return 0


def make_case(name: str | None, into: str | None, kind: str | None, console: Console) -> int:
    """Create a case's folder; ``into`` is the parent folder of a private one. Raises UsageFault."""
    target = _target(into)
    made = new_case(_required(name), load_settings().root, target, kind)
    _show(made, console)
    path = f" CASE_PATH={shlex.quote(str(made.folder))}" if target else ""
    console.say(f"next: make check CASE={made.folder.name}{path}")
    return 0


def _target(into: str | None) -> Path | None:
    return Path(into).expanduser().absolute() if into else None


def _required(name: str | None) -> str:
    if not name:
        raise UsageFault("the new folder needs a name", "add: NAME=acme")
    return name


def _show(made: NewFolder, console: Console) -> None:
    for folder in made.made:
        console.text(str(folder))
    places = {path for folder in made.made for path, _, _ in find_marks(folder)}
    console.say(f"fill in the parts marked <<…>> in {counted(len(places), 'file')}")
