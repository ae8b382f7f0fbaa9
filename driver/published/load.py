"""Reads what a case folder says about published figures: published.toml, and case.toml where it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from driver.catalog import read_manifest
from driver.errors import UsageFault
from driver.models.manifest import CaseManifest
from driver.models.published import Published

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from driver.models.manifest import GateSpec

FILE_NAME = "published.toml"


@dataclass(frozen=True, kw_only=True)
class PublishedCase:
    """A case's published figures, with the constants that its manifest gives.

    ``macs`` are multiply-accumulates of one core item: from case.toml where there is one, else from
    published.toml; the same holds for ``gate``.
    """

    published: Published
    macs: int
    macs_scope: str
    gate: GateSpec | None
    asked_as: tuple[str, ...] = ()
    """Other cases that were asked for and refer to these tables, each with its reason."""

    @property
    def name(self) -> str:
        """Return the case's name."""
        return self.published.case

    @property
    def document(self) -> str:
        """Return the seed document's number."""
        return self.published.document.number


def load_case(folder: Path) -> PublishedCase:
    """Read one case folder; UsageFault when a file is not what its schema says."""
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
    """Read the case folders that have published figures, each document's figures once.

    A folder that only refers to another case's tables brings in that case, which must lie beside it.
    UsageFault when none of the folders has any figure.
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
        raise UsageFault(
            f"nobody published figures for {names}: there is no {FILE_NAME} in it",
            "choose a case with a seed document; `make list` shows which have one",
        )
    return list(cases.values())
