"""A stack as found: an interpreter of this host in the place of a pinned stack. Pure.

It is for a host where nobody may install or pull (a cluster without Docker, a shell in a vendor's
container): whatever that interpreter holds is measured. Its name tells its content, and every result
says that nothing pins it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from driver.catalog import Catalog, Stack, Vendor
    from driver.models.manifest import DriverRequirement

NAME = "found-{digest}"
DIGITS = 8
ANY_RELEASE = "0"


@dataclass(frozen=True, kw_only=True)
class FoundPython:
    """An interpreter of this host and what it holds.

    ``packages``: name → version. ``digest`` (sha256, hex) is over its version, its packages and the
    lists of their files. ``environment``: variables of the caller's without which it may not work.
    """

    python: Path
    version: str
    packages: Mapping[str, str]
    digest: str
    environment: Mapping[str, str] = field(default_factory=dict)
    stand_in: bool = False

    @property
    def stack_name(self) -> str:
        """Return the stack name of results: another one when a package is another one."""
        return NAME.format(digest=self.digest[:DIGITS])

    def provenance(self, in_place_of: str) -> dict[str, object]:
        """Return what a result says about it: nothing of where it lies on this host."""
        return {
            "kind": "found",
            "in_place_of": in_place_of,
            "python": self.version,
            "sha256": self.digest,
            "packages": dict(self.packages),
            "variables": sorted(self.environment),
        }


def with_found(
    catalog: Catalog, *, stack: FoundPython | None, reference: FoundPython | None
) -> Catalog:
    """Return the catalog with every vendor's stacks, or the reference stack, replaced by what was found."""
    if stack is not None:
        vendors = {name: _of_vendor(one, stack) for name, one in catalog.vendors.items()}
        catalog = replace(catalog, vendors=vendors)
    if reference is not None:
        catalog = replace(catalog, reference=_of_stack(catalog.reference, reference))
    return catalog


def _of_vendor(vendor: Vendor, found: FoundPython) -> Vendor:
    default = vendor.stacks.get(vendor.manifest.default_stack)
    if default is None:
        return vendor
    stack = _of_stack(default, found)
    engines = {
        name: engine.model_copy(update={"stacks": (stack.name,)})
        for name, engine in vendor.manifest.engines.items()
    }
    manifest = vendor.manifest.model_copy(
        update={
            "engines": engines,
            "drivers": _drivers(vendor.manifest.drivers.get(default.name), stack.name),
            "default_stack": stack.name,
        }
    )
    return replace(vendor, manifest=manifest, stacks={stack.name: stack})


def _drivers(needed: DriverRequirement | None, name: str) -> dict[str, DriverRequirement]:
    """Return how the host's driver is asked; what the pinned stack needs of it says nothing here."""
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
