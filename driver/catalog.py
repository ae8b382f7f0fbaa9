"""The catalog: which cases, vendors and stacks there are, read from their manifests and nothing else.

No case's or vendor's code is imported; a folder is in the catalog because its manifest lies in it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from driver.errors import UsageFault, unknown
from driver.models.manifest import (
    CaseManifest,
    ChipSpec,
    EngineSpec,
    PrecisionSpec,
    StackManifest,
    VendorManifest,
    lies_in_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from driver.found_stack import FoundPython

REFERENCE = "reference"
"""The folder name of the vendor-neutral image and of the hook that runs in it."""

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case and its folder."""

    manifest: CaseManifest
    folder: Path

    @property
    def name(self) -> str:
        """Return the case's name."""
        return self.manifest.name


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A pinned image of a vendor: its manifest and the folder with Dockerfile and lock."""

    manifest: StackManifest
    folder: Path
    found: FoundPython | None = None
    """An interpreter of this host that stands in for it, for the stack ``in_place_of``."""
    in_place_of: str = ""

    @property
    def name(self) -> str:
        """Return the stack's name."""
        return self.manifest.name

    @property
    def vendor(self) -> str:
        """Return the name of the vendor whose stack this is."""
        return self.manifest.vendor


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """A vendor, the folder of its hook, and its stacks by name."""

    manifest: VendorManifest
    folder: Path
    stacks: dict[str, Stack]

    @property
    def name(self) -> str:
        """Return the vendor's name."""
        return self.manifest.name

    def engine(self, name: str | None) -> tuple[str, EngineSpec]:
        """Return the engine of that name, or the vendor's default one; UsageFault when unknown."""
        chosen = name or self.manifest.default_engine
        if chosen not in self.manifest.engines:
            raise unknown(f"engine of vendor {self.name}", chosen, self.manifest.engines)
        return chosen, self.manifest.engines[chosen]

    def stack(self, name: str | None, engine_name: str, engine: EngineSpec) -> Stack:
        """Return the stack of that name, or the default one when it has the engine, else its first."""
        default = self.manifest.default_stack
        chosen = name or (default if default in engine.stacks else engine.stacks[0])
        if chosen not in self.stacks and any(one.found for one in self.stacks.values()):
            raise UsageFault(
                f"STACK={chosen} and STACK_PYTHON name two stacks of {self.name}",
                "leave STACK out: what the interpreter holds is the stack; or STACK_PYTHON, for the pinned one",
            )
        if chosen not in self.stacks:
            raise unknown(f"stack of vendor {self.name}", chosen, self.stacks)
        if chosen not in engine.stacks:
            raise UsageFault(
                f"stack {chosen!r} of {self.name} has no engine {engine_name!r}",
                f"use STACK={engine.stacks[0]}, or another ENGINE",
            )
        return self.stacks[chosen]

    def precision(self, engine: str, name: str | None) -> tuple[str, PrecisionSpec]:
        """Return the precision of that name, or the engine's default one."""
        spec = self.manifest.engines[engine]
        chosen = name or spec.default_precision
        if chosen not in spec.precisions:
            raise unknown(f"precision of {self.name} {engine}", chosen, spec.precisions)
        return chosen, spec.precisions[chosen]

    def chip(self, name: str | None) -> tuple[str, ChipSpec]:
        """Return the chip of that name, whatever its case, or the vendor's default one."""
        wanted = name or self.manifest.default_chip
        for known, spec in self.manifest.chips.items():
            if known.lower() == wanted.lower():
                return known, spec
        raise unknown(f"chip of vendor {self.name}", wanted, self.manifest.chips)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All that can be asked for."""

    cases: dict[str, Case]
    vendors: dict[str, Vendor]
    reference: Stack
    reference_hook: Path
    harness: Path
    aliases: dict[str, str] = field(default_factory=dict)

    def case(self, name: str) -> Case:
        """Return the case of that name or short name; UsageFault with the nearest one otherwise."""
        found = self.cases.get(self.aliases.get(name, name))
        if found is None:
            raise unknown("case", name, [*self.cases, *self.aliases])
        return found

    def vendor(self, name: str) -> Vendor:
        """Return the vendor of that name; UsageFault with the nearest one otherwise."""
        if name not in self.vendors:
            raise unknown("vendor", name, self.vendors)
        return self.vendors[name]


def read_manifest(path: Path, model: type[ModelT]) -> ModelT:
    """Read one manifest; UsageFault names the file, the key and what is wrong with it."""
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageFault(f"{path} is not TOML: {error}", "mend that line") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageFault(
            f"{path}: {key}: {first['msg']} ({error.error_count()} problem(s))",
            "the keys are described in docs/manifest-keys.md",
        ) from error


def load_catalog(root: Path, vendor_path: Iterable[Path] = ()) -> Catalog:
    """Read every manifest below ``root``, and vendors that live in folders of their own.

    A folder of ``vendor_path`` holds ``vendor.toml``, ``hook``, ``engines/`` and ``images/<stack>/``.
    """
    cases = {
        case.name: case
        for case in (
            Case(manifest=read_manifest(path, CaseManifest), folder=path.parent)
            for path in sorted((root / "cases").glob("*/case.toml"))
        )
    }
    vendors = {}
    for path in sorted((root / "vendor_hooks").glob("*/vendor.toml")):
        vendor = _load_vendor(path.parent, root / "images" / path.parent.name)
        vendors[vendor.name] = vendor
    for folder in vendor_path:
        if not (folder / "vendor.toml").is_file():
            raise UsageFault(
                f"VENDOR_PATH: {folder} has no vendor.toml",
                "point VENDOR_PATH at the folder that holds vendor.toml, hook and images/",
            )
        vendor = _load_vendor(folder, folder / "images")
        vendors[vendor.name] = vendor
    return Catalog(
        cases=cases,
        vendors=vendors,
        reference=_only_stack(root / "images" / REFERENCE),
        reference_hook=root / "vendor_hooks" / REFERENCE,
        harness=root / "vendor_hooks" / "harness",
        aliases={alias: case.name for case in cases.values() for alias in case.manifest.aliases},
    )


def _load_vendor(folder: Path, images: Path) -> Vendor:
    manifest = read_manifest(folder / "vendor.toml", VendorManifest)
    manifest = _with_own_programs(manifest, folder.absolute())
    return Vendor(manifest=manifest, folder=folder, stacks=_load_stacks(images))


def _with_own_programs(manifest: VendorManifest, folder: Path) -> VendorManifest:
    """Return the manifest with commands of the vendor's folder by their whole path."""

    def found(command: tuple[str, ...]) -> tuple[str, ...]:
        return (str(folder / command[0]), *command[1:]) if lies_in_folder(command) else command

    monitor = manifest.monitor.model_copy(update={"command": found(manifest.monitor.command)})
    drivers = {
        stack: needed.model_copy(update={"command": found(needed.command)})
        for stack, needed in manifest.drivers.items()
    }
    return manifest.model_copy(update={"monitor": monitor, "drivers": drivers})


def _load_stacks(images: Path) -> dict[str, Stack]:
    stacks = (
        Stack(manifest=read_manifest(path, StackManifest), folder=path.parent)
        for path in sorted(images.glob("*/stack.toml"))
    )
    return {stack.name: stack for stack in stacks}


def _only_stack(images: Path) -> Stack:
    stacks = list(_load_stacks(images).values())
    if len(stacks) != 1:
        raise UsageFault(
            f"{images} must hold exactly one stack, it holds {len(stacks)}",
            "restore images/reference from the repository",
        )
    return stacks[0]
