"""The catalog of cases, vendors and stacks, read from their manifests alone.

A folder with a manifest is in the catalog; no code of a case or vendor is imported. An invalid manifest
concerns only the requests that name what it describes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from driver.catalog.manifests import Invalid, choose, joined, read_each, read_manifest
from driver.errors import UsageFault, unknown
from driver.models.base import REFERENCE
from driver.models.case import CaseManifest
from driver.models.stack import StackManifest
from driver.models.vendor import ChipSpec, EngineSpec, PrecisionSpec, VendorManifest, lies_in_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from driver.catalog.found_python import FoundPython


ListedChip = tuple[str, ChipSpec]
"""A chip of vendor.toml and its name there."""


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
    """A stack: its manifest, and the folder with its Dockerfile and lock file."""

    manifest: StackManifest
    folder: Path
    found: FoundPython | None = None
    """An interpreter of this host that replaces the pinned stack ``in_place_of``."""
    in_place_of: str = ""

    @property
    def name(self) -> str:
        """Return the stack's name."""
        return self.manifest.name

    @property
    def vendor(self) -> str:
        """Return the name of the vendor whose stack this is."""
        return self.manifest.vendor

    def has_package(self, name: str) -> bool:
        """Return whether a package is among the stack's versions, or those of the interpreter in its place."""
        listed = self.manifest.versions if self.found is None else self.found.packages
        return name in {one.lower().replace("_", "-") for one in listed}


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """A vendor, the folder of its hook, its stacks by name, and stacks whose manifest is invalid."""

    manifest: VendorManifest
    folder: Path
    stacks: dict[str, Stack]
    invalid: tuple[Invalid, ...] = ()
    others: tuple[Vendor, ...] = ()
    """The vendor on each other kind of hardware that its stacks run on ([stacks.<name>] of vendor.toml)."""
    other_hardware: str = ""
    """The stack under whose name the tables of this hardware are, "" for those that all other stacks share."""

    @property
    def name(self) -> str:
        """Return the vendor's name."""
        return self.manifest.name

    @property
    def label(self) -> str:
        """Return the vendor's name, on other hardware with the stack that its tables are under: amd/rocm7."""
        return "/".join(filter(None, (self.name, self.other_hardware)))

    def table(self, name: str) -> str:
        """Return the heading of a table of vendor.toml: ``monitor``, or ``stacks.rocm7.monitor``."""
        return f"stacks.{self.other_hardware}.{name}" if self.other_hardware else name

    @property
    def hardware(self) -> tuple[Vendor, ...]:
        """Return the vendor once for each kind of hardware that its stacks run on."""
        return (self, *self.others)

    def for_request(self, stack: str | None, engine: str | None, chip: str | None) -> Vendor:
        """Return the vendor as the hardware of a request sees it: the first kind that has all that is named.

        Where none has it all, STACK decides alone, else ENGINE.
        """
        all_names = {"stack": stack, "engine": engine, "chip": chip}
        for names in (all_names, {"stack": stack}, {"engine": engine}):
            found = next((one for one in self.hardware if one.has(**names)), None)
            if found is not None and any(names.values()):
                return found
        return self

    def require_one_hardware(self, chosen: Vendor, **named: str | None) -> None:
        """Raise UsageFault for an engine or a chip of other hardware than ``chosen``, which the rest names."""
        for what, name in named.items():
            owners = [one for one in self.hardware if name is not None and one.has(**{what: name})]
            if owners and chosen not in owners:
                raise UsageFault(
                    f"{what} {name!r} of {self.name} belongs to the hardware of {owners[0].of_stacks}, and what "
                    f"is named beside it to that of {chosen.of_stacks}",
                    f"leave one of them out: the hardware of {chosen.of_stacks} has the engines "
                    f"{', '.join(chosen.manifest.engines)} and the chips {', '.join(chosen.manifest.chips)}",
                )

    @property
    def stacks_here(self) -> tuple[str, ...]:
        """Return the names of the stacks that run on this hardware."""
        return tuple(sorted(set(self.stacks) - set(self.manifest.heads)))

    @property
    def of_stacks(self) -> str:
        """Return the stacks that run on this hardware, as text: "stack zen"."""
        names = self.stacks_here
        return f"{'stack' if len(names) == 1 else 'stacks'} {', '.join(names)}"

    def has(
        self, *, stack: str | None = None, engine: str | None = None, chip: str | None = None
    ) -> bool:
        """Return whether this hardware has everything that is named."""
        chips = {name.lower() for name in self.manifest.chips}
        return (
            (stack is None or stack in self.stacks_here)
            and (engine is None or engine in self.manifest.engines)
            and (chip is None or chip.lower() in chips)
        )

    def engine(self, name: str | None, stack: str | None = None) -> tuple[str, EngineSpec]:
        """Return the named engine, else the default, or for a named stack without that what the stack is for.

        Raises UsageFault for an unknown engine.
        """
        chosen = name or self._default_engine(stack)
        if chosen not in self.manifest.engines:
            known = {name for one in self.hardware for name in one.manifest.engines}
            raise unknown(f"engine of vendor {self.name}", chosen, known)
        return chosen, self.manifest.engines[chosen]

    def _default_engine(self, stack: str | None) -> str:
        default = self.manifest.default_engine
        having = {
            name: one.stacks.index(stack)
            for name, one in self.manifest.engines.items()
            if stack is not None and stack in one.stacks
        }
        # An engine prefers its first stack: ort_cuda is what cuda13-ort is for, not eager, which it has too.
        return default if default in having or not having else min(having, key=having.__getitem__)

    def stack(
        self,
        name: str | None,
        engine_name: str,
        engine: EngineSpec,
        precision: str | None = None,
        chip: ListedChip | None = None,
    ) -> Stack:
        """Return the named stack, else one that has engine and precision and supports the chip.

        Of several, that is the first of the chip's own, else the vendor's default, else the engine's first.
        Raises UsageFault for an unknown stack, and for one without the engine or the precision, or that
        does not support the chip.
        """
        default, having = self.manifest.default_stack, engine.stacks_with(precision)
        supporting = chip[1].stacks if chip is not None else ()
        preferred = (*(supporting or (default,)), *(() if supporting else having))
        fitting = next((one for one in preferred if one in having), having[0])
        chosen = name or fitting
        if chosen not in self.stacks and any(one.found for one in self.stacks.values()):
            raise UsageFault(
                f"STACK={chosen} and STACK_PYTHON name two different stacks of {self.name}",
                "leave STACK out to use the interpreter, or STACK_PYTHON to use the pinned stack",
            )
        found = self.stack_named(chosen)
        if chosen not in engine.stacks:
            raise UsageFault(
                f"stack {chosen!r} of {self.name} has no engine {engine_name!r}",
                f"use STACK={engine.stacks[0]}, or another ENGINE",
            )
        if chosen not in having:
            raise UsageFault(
                f"stack {chosen!r} of {self.name} has no {precision} for engine {engine_name!r}",
                f"use STACK={having[0]}, or PRECISION={engine.default_precision}",
            )
        if chip is not None and supporting and chosen not in supporting:
            other = f"use STACK={fitting}" if fitting in supporting else "choose another ENGINE"
            raise UsageFault(
                f"stack {chosen!r} of {self.name} does not support {chip[0]}",
                f"{other}, or another CHIP",
            )
        return found

    def stack_named(self, name: str) -> Stack:
        """Return the stack of that name; UsageFault when it is unknown, or its manifest invalid."""
        found = choose(name, self.stacks, self.invalid, {})
        if found is None:
            raise unknown(f"stack of vendor {self.name}", name, self.stacks)
        return found

    def precision(self, engine: str, name: str | None) -> tuple[str, PrecisionSpec]:
        """Return the named precision, or the engine's default; UsageFault when unknown."""
        spec = self.manifest.engines[engine]
        chosen = name or spec.default_precision
        if chosen not in spec.precisions:
            raise unknown(f"precision of {self.name} {engine}", chosen, spec.precisions)
        return chosen, spec.precisions[chosen]

    def chip(self, name: str | None) -> tuple[str, ChipSpec]:
        """Return the named chip, ignoring case, or the vendor's default; UsageFault when unknown."""
        wanted = name or self.manifest.default_chip
        for listed, spec in self.manifest.chips.items():
            if listed.lower() == wanted.lower():
                return listed, spec
        known = {name for one in self.hardware for name in one.manifest.chips}
        raise unknown(f"chip of vendor {self.name}", wanted, known)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Everything that a request can name."""

    cases: dict[str, Case]
    vendors: dict[str, Vendor]
    reference_stack: Stack | Invalid
    reference_hook: Path
    harness: Path
    aliases: dict[str, str] = field(default_factory=dict)
    invalid_cases: tuple[Invalid, ...] = ()
    invalid_vendors: tuple[Invalid, ...] = ()

    @property
    def reference(self) -> Stack:
        """Return the stack that exports and scores; UsageFault if its manifest is invalid."""
        if isinstance(self.reference_stack, Invalid):
            raise self.reference_stack.fault
        return self.reference_stack

    @property
    def invalid_reference(self) -> tuple[Invalid, ...]:
        """Return the reference stack if its manifest is invalid; every run needs it, other verbs do not."""
        found = self.reference_stack
        return (found,) if isinstance(found, Invalid) else ()

    @property
    def invalid(self) -> tuple[Invalid, ...]:
        """Return every invalid manifest: of cases, of vendors, of their stacks, of the reference stack."""
        stacks = (one for vendor in self.vendors.values() for one in vendor.invalid)
        return (*self.invalid_cases, *self.invalid_vendors, *stacks, *self.invalid_reference)

    def case(self, name: str) -> Case:
        """Return the case of that name or alias.

        Raises UsageFault if its manifest is invalid, and for an unknown name, with the nearest one.
        """
        found = choose(name, self.cases, self.invalid_cases, self.aliases)
        if found is None:
            raise unknown("case", name, [*self.cases, *self.aliases])
        return found

    def vendor(self, name: str) -> Vendor:
        """Return the vendor of that name; UsageFault as in ``case``."""
        found = choose(name, self.vendors, self.invalid_vendors, {})
        if found is None:
            raise unknown("vendor", name, self.vendors)
        return found


def load_catalog(
    root: Path, vendor_path: Iterable[Path] = (), case_path: Iterable[Path] = ()
) -> Catalog:
    """Read every manifest below ``root``, and those of vendors and cases outside the repository.

    Each folder in ``vendor_path`` has ``vendor.toml``, ``hook``, ``engines/`` and ``images/<stack>/``, each
    in ``case_path`` ``case.toml``, ``model.py`` and ``task.py``. They replace those of the same name.
    """
    cases, invalid_cases = read_each(
        "case",
        [
            *sorted((root / "cases").glob("*/case.toml")),
            *_outside("CASE_PATH", case_path, "case.toml", "model.py and task.py"),
        ],
        lambda path: Case(manifest=read_manifest(path, CaseManifest), folder=path.parent),
    )
    vendors, invalid_vendors = read_each(
        "vendor",
        [
            *sorted((root / "vendor_hooks").glob("*/vendor.toml")),
            *_outside("VENDOR_PATH", vendor_path, "vendor.toml", "hook and images/"),
        ],
        lambda path: _load_vendor(path.parent, _images(root, path.parent)),
    )
    return Catalog(
        cases={case.name: case for case in cases},
        vendors={vendor.name: vendor for vendor in vendors},
        reference_stack=_only_stack(root / "images" / REFERENCE),
        reference_hook=root / "vendor_hooks" / REFERENCE,
        harness=root / "vendor_hooks" / "harness",
        aliases={alias: case.name for case in cases for alias in case.manifest.aliases},
        invalid_cases=invalid_cases,
        invalid_vendors=invalid_vendors,
    )


def _outside(variable: str, folders: Iterable[Path], file: str, more: str) -> list[Path]:
    paths = [folder / file for folder in folders]
    for path in paths:
        if not path.is_file():
            raise UsageFault(
                f"{variable}: {path.parent} has no {file}",
                f"set {variable} to the folder that contains {file}, {more}",
            )
    return paths


def _images(root: Path, folder: Path) -> Path:
    """Return the folder of a vendor's stacks: its own, for one outside the repository."""
    inside = folder.parent == root / "vendor_hooks"
    return root / "images" / folder.name if inside else folder / "images"


def _load_vendor(folder: Path, images: Path) -> Vendor:
    stacks, invalid = _load_stacks(images, f"stack of {folder.name}")
    try:
        manifest = read_manifest(folder / "vendor.toml", VendorManifest)
    except UsageFault as fault:
        raise joined(fault, invalid) from fault
    vendor = Vendor(manifest=manifest, folder=folder, stacks=stacks, invalid=invalid)
    parts = [replace(one, manifest=_with_own_programs(one)) for one in (vendor, *_others(vendor))]
    return replace(parts[0], others=tuple(parts[1:]))


def _others(vendor: Vendor) -> Iterable[Vendor]:
    """Yield the vendor on each other kind of hardware that its stacks run on."""
    heads = vendor.manifest.heads
    for head in vendor.manifest.stacks:
        yield replace(
            vendor,
            manifest=vendor.manifest.of_stack(head),
            stacks={name: one for name, one in vendor.stacks.items() if heads.get(name) == head},
            other_hardware=head,
        )


def _with_own_programs(vendor: Vendor) -> VendorManifest:
    """Return the manifest with absolute paths for commands in the vendor's folder."""
    manifest, folder = vendor.manifest, vendor.folder.absolute()

    def found(command: tuple[str, ...]) -> tuple[str, ...]:
        return (str(folder / command[0]), *command[1:]) if lies_in_folder(command) else command

    monitor = manifest.monitor.model_copy(update={"command": found(manifest.monitor.command)})
    drivers = {
        stack: needed.model_copy(update={"command": found(needed.command)})
        for stack, needed in manifest.drivers.items()
    }
    return manifest.model_copy(update={"monitor": monitor, "drivers": drivers})


def _load_stacks(images: Path, what: str) -> tuple[dict[str, Stack], tuple[Invalid, ...]]:
    stacks, invalid = read_each(
        what,
        sorted(images.glob("*/stack.toml")),
        lambda path: Stack(manifest=read_manifest(path, StackManifest), folder=path.parent),
    )
    named = {stack.name: stack for stack in reversed(stacks)}
    return dict(sorted(named.items())), (*invalid, *_taken_names(what, stacks))


def _taken_names(what: str, stacks: Iterable[Stack]) -> Iterable[Invalid]:
    """Yield the stacks that an earlier folder's name hides: a copy whose name was not changed."""
    first: dict[str, Stack] = {}
    for stack in stacks:
        other = first.setdefault(stack.name, stack)
        if other is not stack:
            fault = UsageFault(
                f"{stack.folder / 'stack.toml'}: name: {stack.name!r} is also that of {other.folder}",
                "give it the name of its folder",
            )
            names = frozenset({stack.folder.name})
            yield Invalid(what=what, folder=stack.folder, aliases=names, fault=fault)


def _only_stack(images: Path) -> Stack | Invalid:
    what = f"stack of {REFERENCE}"
    stacks, invalid = _load_stacks(images, what)
    if len(stacks) == 1 and not invalid:
        return next(iter(stacks.values()))
    if len(invalid) == 1 and not stacks:
        return invalid[0]
    found = len(stacks) + len(invalid)
    fault = UsageFault(
        f"{images} must contain exactly one stack, but it contains {found or 'none'}",
        f"restore it from the repository: git checkout {images}",
    )
    fault = joined(fault, invalid)
    return Invalid(what=what, folder=images, aliases=frozenset(), fault=fault)
