"""The licence that a wheel states in its metadata."""

from __future__ import annotations

import zipfile
from email.parser import HeaderParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LICENCE_CHARACTERS = 80


def stated_licence(wheel: Path) -> str | None:
    """Return what a wheel says of its licence, in its own words; None where it says nothing."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
            # UTF-8 by the core metadata specification; read as bytes, a field beyond ASCII is no str.
            metadata = HeaderParser().parsestr(archive.read(name).decode("utf-8", "replace"))
    except (OSError, zipfile.BadZipFile, StopIteration):
        return None
    said = (metadata.get("License-Expression") or metadata.get("License") or "").strip()
    fields = metadata.get_all("Classifier") or []
    listed = [one.rpartition(" :: ")[2] for one in fields if one.startswith("License :: ")]
    found = said.splitlines()[0] if said else ", ".join(listed)
    return found[:LICENCE_CHARACTERS] or None
