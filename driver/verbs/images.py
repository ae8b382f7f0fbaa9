"""`images`, `environments` and `wheelhouse`: what a stack is built from, fetched once, and the images themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.catalog import REFERENCE, load_catalog
from driver.errors import UsageFault, unknown
from driver.installation import EnvironmentInstaller, ImageInstaller
from driver.locks import parse_lock, target_of
from driver.settings import load_settings
from driver.wheelhouse import Wheelhouse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog import Catalog, Stack
    from driver.console import Console


def build_images(vendor: str, stack: str | None, base: str | None, console: Console) -> int:
    """Build what is missing: the reference image, and the vendor's (all stacks, or one)."""
    settings = load_settings()
    if base:
        # Named for the reference stack alone, it is the reference's.
        named = {"reference_base": base} if vendor == REFERENCE else {}
        settings = settings.model_copy(update={"base": base} | named)
    catalog = load_catalog(settings.root, settings.vendor_path)
    installer = ImageInstaller(settings, console)
    rows = []
    for one in wanted_stacks(catalog, vendor, stack):
        found = installer.install(one).provenance
        unpinned = _unpinned(found)
        rows.append((one.vendor, one.name, str(found["image"]), str(found["base"]), unpinned))
    console.table(("vendor", "stack", "image", "base", "unpinned"), rows)
    return 0


def _unpinned(image: Mapping[str, object]) -> str:
    """Return what of an image may be another one tomorrow, in words."""
    installers = image["installers_unpinned"]
    assert isinstance(installers, list)
    return ", ".join([*([] if image["pinned"] else ["base"]), *installers]) or "nothing"


def make_environments(vendor: str, stack: str | None, console: Console) -> int:
    """Make the virtual environments of the process runner: the reference stack's and the vendor's."""
    settings = load_settings()
    catalog = load_catalog(settings.root, settings.vendor_path)
    installer = EnvironmentInstaller(settings, console)
    rows = []
    for one in wanted_stacks(catalog, vendor, stack):
        if not one.manifest.process_runner:
            console.say(f"  - {one.name} of {one.vendor} runs in its image only")
            continue
        found = installer.install(one)
        rows.append((one.vendor, one.name, str(found.stack.venv)))
    console.table(("vendor", "stack", "environment"), rows)
    return 0


def fill_wheelhouse(vendor: str, stack: str | None, console: Console) -> int:
    """Fetch the wheels of the reference stack and of the vendor's, for a host without a network."""
    settings = load_settings()
    catalog = load_catalog(settings.root, settings.vendor_path)
    house = Wheelhouse(settings.home)
    rows = []
    for one in wanted_stacks(catalog, vendor, stack):
        wheels = house.fill(
            parse_lock(one.folder / "requirements.lock"),
            target_of(one.manifest.python),
            torch_index=settings.torch_index,
            on_progress=console.note,
        )
        size_bytes = sum(wheel.stat().st_size for wheel in wheels.values())
        rows.append((one.vendor, one.name, str(len(wheels)), f"{size_bytes / 2**20:.0f} MiB"))
    console.table(("vendor", "stack", "wheels", "size"), rows)
    console.say(f"wheelhouse: {house.folder}")
    return 0


def wanted_stacks(catalog: Catalog, vendor: str, stack: str | None) -> list[Stack]:
    """Return the reference stack and the vendor's stacks; `reference` alone is a vendor here too."""
    if vendor == catalog.reference.vendor:
        return [catalog.reference]
    stacks = catalog.vendor(vendor).stacks
    if stack is not None and stack not in stacks:
        raise unknown(f"stack of vendor {vendor}", stack, stacks)
    if not stacks:
        raise UsageFault(f"vendor {vendor} has no stack", f"add images/{vendor}/<stack>/stack.toml")
    return [catalog.reference, *(one for name, one in stacks.items() if stack in (None, name))]
