"""Finds the marks ``<<what belongs here>>`` in text files, which must still be filled in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from driver.doctor.finding import failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from driver.doctor.finding import Finding

MARK = re.compile(r"<<\s*([^<>\n]{3,200}?)\s*>>")
SUFFIXES = frozenset({".toml", ".py", ".md", ".in", ".sh", ""})
"""Files with marks; the list leaves out weights and images."""
NOT_TEXT = frozenset({"weights", "data", "__pycache__"})
LARGEST_BYTES = 1 << 20


def find_marks(folder: Path) -> Iterator[tuple[Path, int, str]]:
    """Yield (file, line number, text) of every mark below a folder."""
    for path in sorted(folder.rglob("*")):
        if NOT_TEXT.isdisjoint(path.relative_to(folder).parts) and _is_text(path):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                for mark in MARK.findall(line):
                    yield path, number, mark


def check_marks(*folders: Path) -> Iterator[Finding]:
    """Yield one failed finding per mark."""
    for folder in folders:
        for path, line, mark in find_marks(folder):
            yield failed(
                f"to fill in: {path.relative_to(folder)}:{line}", mark, f"edit {path}, line {line}"
            )


def _is_text(path: Path) -> bool:
    if not path.is_file() or path.suffix not in SUFFIXES or path.stat().st_size > LARGEST_BYTES:
        return False
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True
