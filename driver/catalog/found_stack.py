"""Replaces a pinned stack by an interpreter of this host. Pure.

For hosts where nobody may install or pull (a cluster without Docker, a shell in a vendor's
container): the interpreter is measured with whatever it contains. The stack's name depends on that
content, and every result warns that it is not pinned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driver.catalog.catalog import Catalog
    from driver.catalog.found_python import FoundPython
    from driver.catalog.vendor import Stack, Vendor
    from driver.models.vendor import DriverRequirement, EngineSpec

ANY_RELEASE = "0"


def with_found(
    catalog: Catalog, *, stack: FoundPython | None, reference: FoundPython | None
) -> Catalog:
    """Return the catalog with vendors' stacks, or the reference stack, replaced by interpreters."""
    if stack is not None:
        vendors = {name: _of_vendor(one, stack) for name, one in catalog.vendors.items()}
        catalog = replace(catalog, vendors=vendors)
    if reference is not None:
        catalog = replace(catalog, reference_stack=_of_stack(catalog.reference, reference))
    return catalog


def _of_vendor(vendor: Vendor, found: FoundPython) -> Vendor:
    default = vendor.stacks.get(vendor.manifest.default_stack)
    if default is None:
        return vendor
    stack = _of_stack(default, found)
    engines = {
        name: _of_engine(engine, stack.name) for name, engine in vendor.manifest.engines.items()
    }
    # Its releases are not the pinned ones, so it may support every chip.
    chips = {
        name: chip.model_copy(update={"stacks": ()}) for name, chip in vendor.manifest.chips.items()
    }
    manifest = vendor.manifest.model_copy(
        update={
            "engines": engines,
            "chips": chips,
            "drivers": _drivers(vendor.manifest.drivers.get(default.name), stack.name),
            "default_stack": stack.name,
        }
    )
    others = tuple(_of_vendor(one, found) for one in vendor.others)
    return replace(vendor, manifest=manifest, stacks={stack.name: stack}, others=others)


def _of_engine(engine: EngineSpec, stack: str) -> EngineSpec:
    """Let the interpreter have every precision: its hook knows what the releases in it lack."""
    precisions = {
        name: spec.model_copy(update={"stacks": ()}) for name, spec in engine.precisions.items()
    }
    return engine.model_copy(update={"stacks": (stack,), "precisions": precisions})


def _drivers(needed: DriverRequirement | None, name: str) -> dict[str, DriverRequirement]:
    """Keep the driver's version command, but not the pinned stack's minimum, which does not apply."""
    if needed is None:
        return {}
    asked = {"minimum": ANY_RELEASE, "older_branches": (), "documented": False}
    return {name: needed.model_copy(update=asked)}


def _of_stack(stack: Stack, found: FoundPython) -> Stack:
    manifest = stack.manifest.model_copy(
        update={
            "name": found.stack_name,
            "python": found.version,
            "versions": {"python": found.version},
            "installers": (),
            "process_runner": True,
        }
    )
    return replace(stack, manifest=manifest, found=found, in_place_of=stack.name)
