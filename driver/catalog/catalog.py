"""The catalog of cases, vendors and stacks, read from their manifests alone.

A folder with a manifest is in the catalog; no code of a case or vendor is imported. An invalid manifest
concerns only the requests that name what it describes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from driver.catalog.manifests import Invalid, choose, joined, read_each, read_manifest
from driver.catalog.vendor import Stack, Vendor
from driver.errors import UsageFault, unknown
from driver.models.base import REFERENCE
from driver.models.case import CaseManifest
from driver.models.stack import StackManifest
from driver.models.vendor import VendorManifest, lies_in_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


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
