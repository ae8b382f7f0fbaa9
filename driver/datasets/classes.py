"""Checks a folder's classes against the case's dataset."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import DataFault
from driver.system.plain_text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.catalog.catalog import Case


def require_class_names(case: Case, root: Path, names: Sequence[str]) -> None:
    """Raise DataFault for a class folder whose name does not match the dataset's class names."""
    pattern = case.manifest.data.class_names
    odd = [name for name in names if pattern is not None and not re.fullmatch(pattern, name)]
    if odd:
        raise DataFault(
            f"{root} contains {counted(len(odd), 'folder')}, such as {odd[0]!r}, outside the classes of "
            f"{case.manifest.data.dataset} (class names match {pattern})",
            "move them out: every folder counts as a class and shifts the numbers of later classes",
        )


def require_class_count(case: Case, root: Path, found: int) -> None:
    """Raise DataFault unless a folder has exactly as many classes as the case's dataset."""
    expected = case.manifest.data.classes
    if expected is not None and found != expected:
        raise DataFault(
            f"{root} has {found} class folders, but {case.manifest.data.dataset} has {expected}: "
            "class numbers, and so the accuracy, would be wrong",
            "add the missing class folders (they may be empty), or use DATA=synthetic",
        )
