"""`new-vendor` and `new-case`: a folder that passes its check but for the parts it marks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from driver.check.marks import find_marks
from driver.errors import UsageFault
from driver.scaffold import new_case, new_vendor
from driver.settings import load_settings

if TYPE_CHECKING:
    from driver.console import Console
    from driver.scaffold import NewFolder


def make_vendor(name: str | None, into: str | None, console: Console) -> int:
    """Lay a vendor out; ``into`` is the folder that a private one goes to."""
    settings = load_settings()
    target = Path(into).expanduser().absolute() if into else None
    made = new_vendor(_required(name), settings.root, target)
    _tell(made, console)
    path = f" VENDOR_PATH={made.folder}" if target else ""
    console.say(f"next: make check VENDOR={made.folder.name}{path}")
    return 0


def make_case(name: str | None, console: Console) -> int:
    """Lay a case out."""
    made = new_case(_required(name), load_settings().root)
    _tell(made, console)
    console.say(f"next: make check CASE={made.folder.name}")
    return 0


def _required(name: str | None) -> str:
    if not name:
        raise UsageFault("the new folder needs a name", "NAME=acme")
    return name


def _tell(made: NewFolder, console: Console) -> None:
    for folder in made.made:
        console.text(str(folder))
    places = {path for folder in made.made for path, _, _ in find_marks(folder)}
    console.say(f"{len(places)} files hold parts marked <<…>>, which are yours to fill in")
