"""`pin`: writes digests of base images and sha256 of installers to stack.toml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.models.base import REFERENCE
from driver.runners.engine.client import connect
from driver.system.files import write_atomically
from driver.system.hashing import file_sha256
from driver.system.offline import require_online
from driver.system.settings import load_settings
from driver.verbs.maintenance.images import wanted_stacks
from driver.verbs.reading_catalog import read_catalog

if TYPE_CHECKING:
    from pathlib import Path

    from driver.catalog.vendor import Stack
    from driver.console import Console

_BASE = re.compile(r"^\[base\][^\[]*", re.MULTILINE)
_DIGEST = re.compile(r"^digest\s*=.*\n", re.MULTILINE)
_INSTALLER = re.compile(r"^\[\[installers\]\].*?(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"""^file\s*=\s*["'](?P<name>[^"']+)["'].*\n""", re.MULTILINE)
_SHA256 = re.compile(r"^sha256\s*=.*\n", re.MULTILINE)


def pin_stacks(vendor: str | None, stack: str | None, console: Console) -> int:
    """Pin the base images of one vendor's stacks, or of all, and the installers found in INSTALLERS.

    Raises EnvironmentFault if a base could not be pinned; installers are pinned before that.
    """
    settings = load_settings()
    catalog = read_catalog(settings, console)
    vendors = [vendor] if vendor else [REFERENCE, *catalog.vendors]
    stacks = {one.folder: one for name in vendors for one in wanted_stacks(catalog, name, stack)}
    if settings.installers is not None:
        for one in stacks.values():
            _pin_installers(one, settings.installers, console)
    _pin_bases(list(stacks.values()), console)
    return 0


def _pin_installers(stack: Stack, folder: Path, console: Console) -> None:
    for installer in stack.manifest.installers:
        path = folder / installer.file
        if not path.is_file():
            console.say(f"  - {stack.vendor} {stack.name}: {installer.file} is not in {folder}")
            continue
        digest = file_sha256(path)
        _write(stack, with_sha256(_text(stack), installer.file, digest))
        console.text(f"{stack.vendor} {stack.name}: {installer.file} sha256 {digest}")


def _pin_bases(stacks: list[Stack], console: Console) -> None:
    require_online(
        "digests of base images are a registry's", "pin where there is a network: make pin"
    )
    api = connect().api
    problems = []
    for one in stacks:
        image = one.manifest.base.image
        try:
            digest = api.inspect_distribution(image)["Descriptor"]["digest"]
        except (OSError, KeyError) as error:
            problems.append(f"{image}: {getattr(error, 'explanation', None) or error}")
            continue
        _write(one, with_digest(_text(one), digest))
        console.text(f"{one.vendor} {one.name}: {image}@{digest}")
    if problems:
        raise EnvironmentFault(
            f"{len(problems)} of {len(stacks)} base images could not be pinned: {problems[0]}",
            "log in to the registry (docker login), or run this on a machine that reaches it; unpinned "
            "stacks keep working, but results have a warning",
        )


def _text(stack: Stack) -> str:
    return (stack.folder / "stack.toml").read_text(encoding="utf-8")


def _write(stack: Stack, text: str) -> None:
    write_atomically(stack.folder / "stack.toml", text)


def with_digest(text: str, digest: str) -> str:
    """Return the text of stack.toml with the digest of its [base] table set. Raises EnvironmentFault."""
    line = f'digest = "{digest}"\n'
    found = _BASE.search(text)
    if found is None:
        raise EnvironmentFault("stack.toml has no [base] table", "see docs/manifest-keys.md")
    table = _DIGEST.sub("", found.group())
    head, _, rest = table.partition("\n")
    return f"{text[: found.start()]}{head}\n{line}{rest}{text[found.end() :]}"


def with_sha256(text: str, file: str, digest: str) -> str:
    """Return the text of stack.toml with the sha256 of one installer set. Raises EnvironmentFault."""
    text = text.rstrip("\n") + "\n"
    for found in _INSTALLER.finditer(text):
        table = _SHA256.sub("", found.group())
        named = _FILE.search(table)
        if named is not None and named["name"] == file:
            line = f'sha256 = "{digest}"\n'
            table = f"{table[: named.end()]}{line}{table[named.end() :]}"
            return f"{text[: found.start()]}{table}{text[found.end() :]}"
    raise EnvironmentFault(
        f"stack.toml has no [[installers]] table with the line file = {file!r}",
        "see docs/manifests.md",
    )
