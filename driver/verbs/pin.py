"""`pin`: the digest of each base image's tag, asked of its registry and written into stack.toml."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from driver.catalog import load_catalog
from driver.errors import EnvironmentFault
from driver.results import write_atomically
from driver.runners.docker import connect
from driver.settings import load_settings
from driver.verbs.images import wanted_stacks

if TYPE_CHECKING:
    from driver.catalog import Stack
    from driver.console import Console

_BASE = re.compile(r"^\[base\][^\[]*", re.MULTILINE)
_DIGEST = re.compile(r"^digest\s*=.*\n", re.MULTILINE)


def pin_bases(vendor: str | None, stack: str | None, console: Console) -> int:
    """Pin the bases of one vendor's stacks, or of all; EnvironmentFault when no registry answered."""
    settings = load_settings()
    catalog = load_catalog(settings.root, settings.vendor_path)
    vendors = [vendor] if vendor else [catalog.reference.vendor, *catalog.vendors]
    stacks = {one.folder: one for name in vendors for one in wanted_stacks(catalog, name, stack)}
    api = connect().api
    problems = []
    for one in stacks.values():
        image = one.manifest.base.image
        try:
            digest = api.inspect_distribution(image)["Descriptor"]["digest"]
        except (OSError, KeyError) as error:
            problems.append(f"{image}: {getattr(error, 'explanation', None) or error}")
            continue
        write_digest(one, digest)
        console.text(f"{one.vendor} {one.name}: {image}@{digest}")
    if problems:
        raise EnvironmentFault(
            f"{len(problems)} of {len(stacks)} bases could not be pinned: {problems[0]}",
            "log in where a registry asks for it (docker login), or run where it can be reached; "
            "unpinned stacks keep working and are shown as unpinned",
        )
    return 0


def write_digest(stack: Stack, digest: str) -> None:
    """Put ``digest = "sha256:…"`` into the [base] table of stack.toml; the rest stays as it is."""
    path = stack.folder / "stack.toml"
    text = path.read_text(encoding="utf-8")
    write_atomically(path, with_digest(text, digest))


def with_digest(text: str, digest: str) -> str:
    """Return the manifest's text with the digest of its [base] table set or replaced."""
    line = f'digest = "{digest}"\n'
    found = _BASE.search(text)
    if found is None:
        raise EnvironmentFault("stack.toml has no [base] table", "see docs/manifests.md")
    table = _DIGEST.sub("", found.group())
    head, _, rest = table.partition("\n")
    return f"{text[: found.start()]}{head}\n{line}{rest}{text[found.end() :]}"
