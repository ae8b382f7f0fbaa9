"""Reads the published figures of a case folder: published.toml, and case.toml where there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from driver.catalog.manifests import read_manifest
from driver.errors import UsageFault
from driver.models.case import CaseManifest
from driver.models.published import Published

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from driver.models.case import GateSpec

FILE_NAME = "published.toml"
SCHEMA_FILE = "driver/schemas/published.schema.json"


@dataclass(frozen=True, kw_only=True)
class PublishedCase:
    """A case's published figures, with the constants from its manifest.

    ``macs`` is the number of multiply-accumulates per core item. It comes from case.toml where there is
    one, else from published.toml; so does ``gate``.
    """

    published: Published
    macs: int
    macs_scope: str
    gate: GateSpec | None
    asked_as: tuple[str, ...] = ()
    """Requested cases that refer to these tables, each with its reason."""

    @property
    def name(self) -> str:
        """Return the case's name."""
        return self.published.case

    @property
    def document(self) -> str:
        """Return the document's number."""
        return self.published.document.number


def load_case(folder: Path) -> PublishedCase:
    """Read one case folder; UsageFault when a file does not match its schema."""
    published = read_manifest(folder / FILE_NAME, Published)
    if published.case != folder.name:
        raise UsageFault(
            f"{folder / FILE_NAME}: case is {published.case!r}, its folder is {folder.name!r}",
            f'write case = "{folder.name}"',
        )
    macs, scope, gate = published.model.macs, published.model.macs_scope, published.gate
    if (folder / "case.toml").is_file():
        manifest = read_manifest(folder / "case.toml", CaseManifest)
        macs, scope, gate = manifest.model.macs, manifest.model.macs_scope, manifest.gate
    return PublishedCase(published=published, macs=macs, macs_scope=scope, gate=gate)


def load_cases(folders: Iterable[Path]) -> list[PublishedCase]:
    """Read the case folders that have published figures, each document once.

    A folder that only refers to another case's tables brings in that case, from the folder beside it.
    UsageFault when none of the folders has published figures.
    """
    asked = list(folders)
    cases: dict[str, PublishedCase] = {}
    for folder in asked:
        if not (folder / FILE_NAME).is_file():
            continue
        case = load_case(folder)
        referred: tuple[str, ...] = ()
        if (elsewhere := case.published.elsewhere) is not None:
            referred = (f"{case.name} → {elsewhere.case}: {elsewhere.reason}",)
            case = load_case(folder.parent / elsewhere.case)
        if (known := cases.get(case.name)) is not None:
            referred = known.asked_as + referred
        cases[case.name] = replace(case, asked_as=referred)
    if not cases:
        names = ", ".join(folder.name for folder in asked) or "no case"
        beside = {file.parent.name for one in asked for file in one.parent.glob(f"*/{FILE_NAME}")}
        raise UsageFault(
            f"there are no published figures for {names}: its folder has no {FILE_NAME}",
            f"choose one of: {', '.join(sorted(beside))}"
            if beside
            else f"write one from the tables of the document (schema: {SCHEMA_FILE})",
        )
    return list(cases.values())
