"""New folders: a vendor or a case laid out from the templates, whole but for its marked parts."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault, UsageFault
from driver.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TEMPLATES = ROOT / "driver" / "templates"
NAME = re.compile(r"[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*")
LONGEST_NAME = 64
TAKEN = frozenset({"reference", "harness", "base", "none", "synthetic"})
"""Names of folders that stand beside vendors', and values that mean something else."""

STACK = "sdk1"
SUFFIX = ".template"
"""Keeps linters from taking a template for the code that it becomes."""


@dataclass(frozen=True, kw_only=True)
class NewFolder:
    """What was laid out: the folder to look at first, and every folder that was made."""

    folder: Path
    made: tuple[Path, ...]


def new_vendor(name: str, root: Path, into: Path | None = None) -> NewFolder:
    """Lay a vendor out in the tree, or whole in ``into/<name>`` for one that stays private.

    Raises UsageFault for a name that cannot be one or a folder that is there already.
    """
    _require_name("vendor", name)
    if into is None:
        hook, images = root / "vendor_hooks" / name, root / "images" / name
        inside = f"images/{name}"
    else:
        hook, images, inside = into / name, into / name / "images", "images"
    values = {
        "name": name,
        "title": _title(name),
        "module": re.sub(r"[^0-9a-z_]", "_", name),
        "images": inside,
    }
    _require_free(hook, images)
    _lay_out(TEMPLATES / "vendor" / "folder", hook, values)
    _lay_out(TEMPLATES / "vendor" / "stack", images / STACK, values)
    return NewFolder(folder=hook, made=(hook, images / STACK))


def new_case(name: str, root: Path) -> NewFolder:
    """Lay a case out in the tree; UsageFault for a bad name or a folder that is there already."""
    _require_name("case", name)
    folder = root / "cases" / name
    _require_free(folder)
    _lay_out(TEMPLATES / "case", folder, {"name": name, "title": _title(name)})
    return NewFolder(folder=folder, made=(folder,))


def _require_name(what: str, name: str) -> None:
    if NAME.fullmatch(name) and len(name) <= LONGEST_NAME and name not in TAKEN:
        return
    raise UsageFault(
        f"{name!r} cannot be a {what}'s name",
        f"use small letters, digits, '_', '-' and '.', at most {LONGEST_NAME}, beginning with a "
        f"letter, and none of {', '.join(sorted(TAKEN))}: NAME=acme",
    )


def _require_free(*folders: Path) -> None:
    for folder in folders:
        if folder.exists() or folder.is_symlink():
            raise UsageFault(
                f"{folder} is there already, and nothing in it is overwritten",
                "choose another NAME, or remove that folder yourself",
            )


def _title(name: str) -> str:
    return " ".join(part.capitalize() for part in re.split(r"[._-]", name))


def _lay_out(template: Path, target: Path, values: Mapping[str, str]) -> None:
    try:
        for source in _files(template):
            path = target / _target_name(source.relative_to(template).as_posix(), values)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_filled(source.read_text(encoding="utf-8"), values), encoding="utf-8")
            shutil.copymode(source, path)
    except OSError as error:
        raise EnvironmentFault(
            f"{target} cannot be written: {error.strerror or error}",
            "mend its permissions, or name another folder: INTO=<folder>",
        ) from error


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _target_name(name: str, values: Mapping[str, str]) -> str:
    plain = name.removesuffix(SUFFIX)
    return plain.replace("engines/engine.py", f"engines/{values.get('module', 'engine')}.py")


def _filled(text: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        text = text.replace("{{" + key + "}}", value)
    return text
