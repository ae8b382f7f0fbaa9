"""Whether an environment holds what its lock names, before it is marked complete.

Standard library only: the driver's own environment is made with it.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def lacking(site: Path, names: Iterable[str]) -> list[str]:
    """Return the packages that the folder ``site`` (site-packages) does not hold whole, sorted.

    A package is whole when its metadata is there, and every module that its RECORD lists.
    """
    records = {
        normalized(info.name.partition("-")[0]): info / "RECORD"
        for info in site.glob("*.dist-info")
    }
    return sorted(
        name
        for name in names
        if normalized(name) not in records or not _is_whole(site, records[normalized(name)])
    )


def normalized(name: str) -> str:
    """Return a package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_whole(site: Path, record: Path) -> bool:
    try:
        with record.open(encoding="utf-8", newline="") as stream:
            files = [row[0] for row in csv.reader(stream) if row]
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    return all((site / name).exists() for name in files if name.endswith((".py", ".so")))
