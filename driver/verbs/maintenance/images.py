"""`images`, `environments` and `wheelhouse`: prepare the stacks of a vendor before a run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.models.base import REFERENCE
from driver.stacks.installer import EnvironmentInstaller, ImageInstaller
from driver.stacks.locks import parse_lock, pins_for, target_of
from driver.stacks.wheelhouse import Wheelhouse
from driver.system.settings import load_settings
from driver.verbs.reading_catalog import read_catalog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog.catalog import Catalog
    from driver.catalog.vendor import Stack
    from driver.console import Console


def build_images(vendor: str, stack: str | None, base: str | None, console: Console) -> int:
    """Build the missing images: the reference image and the vendor's (all stacks, or one)."""
    settings = load_settings()
    if base:
        # With VENDOR=reference, BASE is the base of the reference stack.
        named = {"reference_base": base} if vendor == REFERENCE else {}
        settings = settings.model_copy(update={"base": base} | named)
    catalog = read_catalog(settings, console)
    installer = ImageInstaller(settings, console)
    rows = []
    stacks = wanted_stacks(catalog, vendor, stack)
    with installer.ahead(stacks):
        for one in stacks:
            found = installer.install(one).provenance
            unpinned = _unpinned(found)
            rows.append((one.vendor, one.name, str(found["image"]), str(found["base"]), unpinned))
    console.table(("vendor", "stack", "image", "base", "unpinned"), rows)
    return 0


def _unpinned(image: Mapping[str, object]) -> str:
    """Return the unpinned parts of an image, which a rebuild may change, or "nothing"."""
    installers = image["installers_unpinned"]
    assert isinstance(installers, list)
    return ", ".join([*([] if image["pinned"] else ["base"]), *installers]) or "nothing"


def make_environments(vendor: str, stack: str | None, console: Console) -> int:
    """Create the process runner's virtual environments, for the reference stack and the vendor's."""
    settings = load_settings()
    catalog = read_catalog(settings, console)
    installer = EnvironmentInstaller(settings, console)
    rows = []
    for one in wanted_stacks(catalog, vendor, stack):
        if not one.manifest.process_runner:
            console.say(f"  - {one.name} of {one.vendor} runs only in its image")
            continue
        found = installer.install(one)
        rows.append((one.vendor, one.name, str(found.stack.venv)))
    console.table(("vendor", "stack", "environment"), rows)
    return 0


def fill_wheelhouse(vendor: str, stack: str | None, console: Console) -> int:
    """Fetch the wheels of the driver, the reference stack and the vendor's, for use without a network."""
    settings = load_settings()
    catalog = read_catalog(settings, console)
    house = Wheelhouse(settings.home)
    stacks = wanted_stacks(catalog, vendor, stack)
    # The driver's for the Python that runs it now: another minor version needs other wheels.
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = [("", "driver", settings.root / "driver", own)]
    wanted += [(one.vendor, one.name, one.folder, one.manifest.python) for one in stacks]
    rows = []
    for owner, name, folder, python in wanted:
        target = target_of(python)
        wheels = house.fill(
            pins_for(parse_lock(folder / "requirements.lock"), target),
            target,
            torch_index=settings.torch_index,
            on_progress=console.note,
        )
        size_bytes = sum(wheel.stat().st_size for wheel in wheels.values())
        size = f"{size_bytes / 2**20:.0f} MiB"
        rows.append((owner, name, target.python, str(len(wheels)), size))
    console.table(("vendor", "stack", "Python", "wheels", "size"), rows)
    console.say(f"wheelhouse: {house.folder}")
    return 0


def wanted_stacks(catalog: Catalog, vendor: str, stack: str | None) -> list[Stack]:
    """Return the reference stack and the vendor's stacks, or just the former for vendor `reference`.

    ``stack`` limits the vendor's stacks to one. Raises UsageFault.
    """
    if vendor == REFERENCE:
        return [catalog.reference]
    found = catalog.vendor(vendor)
    stacks = found.stacks
    if stack is not None:
        return [catalog.reference, found.stack_named(stack)]
    if not stacks and found.invalid:
        raise found.invalid[0].fault
    if not stacks:
        raise UsageFault(f"vendor {vendor} has no stack", f"add images/{vendor}/<stack>/stack.toml")
    return [catalog.reference, *stacks.values()]
