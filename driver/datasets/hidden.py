"""Hidden files, such as macOS's "._cat.JPEG" and ".DS_Store": no pictures, no weights; named once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from driver.system.plain_text import counted, plain

if TYPE_CHECKING:
    from collections.abc import Collection


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden."""
    return name.startswith(".")


def hidden_note(folder: Path | None, suffixes: Collection[str]) -> str | None:
    """Return one line about the hidden files below a folder that would count without their dot.

    None if there are none. ``suffixes`` are in lower case, with their dot.
    """
    if folder is None or not folder.is_dir():
        return None
    found = [
        name
        for _, _, names in os.walk(folder)
        for name in names
        if is_hidden(name) and Path(name).suffix.lower() in suffixes
    ]
    if not found:
        return None
    files = counted(len(found), "hidden file")
    return f"ignored {files} below {plain(str(folder))}, such as {plain(min(found))}"
