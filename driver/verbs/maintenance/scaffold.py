"""Creates a vendor's or a case's folder from the templates, complete except for its marked parts."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault, UsageFault, unknown
from driver.system.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TEMPLATES = ROOT / "driver" / "templates"
NAME = re.compile(r"[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*")
LONGEST_NAME = 64
TAKEN = frozenset({"reference", "harness", "base", "none", "synthetic"})
"""Names of other folders beside the vendors' folders, and words with a meaning of their own."""

STACK = "sdk1"
DEFAULT_KIND = "image"
SUFFIX = ".template"
"""Keeps linters from checking templates as code."""


@dataclass(frozen=True, kw_only=True)
class NewFolder:
    """What was created: the main folder, and every folder that was made."""

    folder: Path
    made: tuple[Path, ...]


def new_vendor(name: str, root: Path, into: Path | None = None) -> NewFolder:
    """Create a vendor in the tree, or a private one in ``into/<name>``.

    Raises UsageFault for an invalid name or an existing folder.
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
    _fill(TEMPLATES / "vendor" / "folder", hook, values)
    _fill(TEMPLATES / "vendor" / "stack", images / STACK, values)
    return NewFolder(folder=hook, made=(hook, images / STACK))


def case_kinds() -> list[str]:
    """Return the kinds of cases that there are templates for."""
    return sorted(path.name for path in (TEMPLATES / "case").iterdir() if path.is_dir())


def new_case(name: str, root: Path, into: Path | None = None, kind: str | None = None) -> NewFolder:
    """Create a case in the tree, or a private one in ``into/<name>``.

    ``kind`` is one of ``case_kinds``. Raises as ``new_vendor``, and UsageFault for an unknown kind.
    """
    _require_name("case", name)
    kinds = case_kinds()
    if kind is not None and kind not in kinds:
        raise unknown("KIND", kind, kinds)
    folder = (root / "cases" if into is None else into) / name
    _require_free(folder)
    _fill(
        TEMPLATES / "case" / (kind or DEFAULT_KIND), folder, {"name": name, "title": _title(name)}
    )
    return NewFolder(folder=folder, made=(folder,))


def _require_name(what: str, name: str) -> None:
    if NAME.fullmatch(name) and len(name) <= LONGEST_NAME and name not in TAKEN:
        return
    raise UsageFault(
        f"{name!r} is not a valid name of a {what}",
        f"use lower-case letters, digits, '_', '-' and '.', at most {LONGEST_NAME}, starting with a "
        f"letter, but not {', '.join(sorted(TAKEN))}: NAME=acme",
    )


def _require_free(*folders: Path) -> None:
    for folder in folders:
        if folder.exists() or folder.is_symlink():
            raise UsageFault(
                f"{folder} already exists and is never overwritten",
                "choose another NAME, or remove that folder yourself",
            )


def _title(name: str) -> str:
    return " ".join(part.capitalize() for part in re.split(r"[._-]", name))


def _fill(template: Path, target: Path, values: Mapping[str, str]) -> None:
    try:
        for source in _files(template):
            path = target / _target_name(source.relative_to(template).as_posix(), values)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_filled(source.read_text(encoding="utf-8"), values), encoding="utf-8")
            shutil.copymode(source, path)
    except OSError as error:
        raise EnvironmentFault(
            f"{target} cannot be written: {error.strerror or error}",
            "fix its permissions, or choose another folder: INTO=<folder>",
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
