"""The catalog as verbs read it: what cannot be read is named as a warning, and left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.catalog.catalog import load_catalog
from driver.stacks.host_python import catalog_here

if TYPE_CHECKING:
    from driver.catalog.catalog import Catalog
    from driver.console import Console
    from driver.system.settings import Settings


def read_catalog(settings: Settings, console: Console) -> Catalog:
    """Return the catalog; warn of every invalid manifest."""
    found = load_catalog(settings.root, settings.vendor_path, settings.case_path)
    return _warned(found, console)


def read_catalog_here(settings: Settings, console: Console) -> Catalog:
    """Return the catalog as in ``catalog_here``, with STACK_PYTHON; warn of every invalid manifest."""
    return _warned(catalog_here(settings), console)


def _warned(catalog: Catalog, console: Console) -> Catalog:
    for one in catalog.invalid:
        console.warn(
            f"{one.what} {one.folder.name} is left out: {one.fault.message}", one.fault.remedy
        )
    return catalog
