"""`list`: the cases, vendors, stacks, engines, precisions and chips to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.system.settings import load_settings
from driver.verbs.reading_catalog import read_catalog

if TYPE_CHECKING:
    from driver.catalog.catalog import Catalog
    from driver.catalog.vendor import Vendor
    from driver.console import Console
    from driver.models.vendor import EngineSpec


def list_catalog(console: Console) -> int:
    """Show the catalog as two tables, or as one JSON document."""
    settings = load_settings()
    catalog = read_catalog(settings, console)
    if console.as_json:
        console.document(catalog_document(catalog))
        return 0
    console.table(
        ("case", "short names", "model", "task", "batch", "metric", "options"), _case_rows(catalog)
    )
    console.text("")
    console.table(
        ("vendor", "stack", "engines (precisions)", "chips", "runs without Docker"),
        _vendor_rows(catalog),
    )
    return 0


def catalog_document(catalog: Catalog) -> dict[str, object]:
    """Return the catalog as a JSON document."""
    return {
        "cases": {
            name: {
                "title": case.manifest.title,
                "aliases": list(case.manifest.aliases),
                "task": case.manifest.task,
                "metric": case.manifest.metric.name,
                "options": {
                    option: spec.model_dump(exclude_none=True)
                    for option, spec in case.manifest.options.items()
                },
            }
            for name, case in catalog.cases.items()
        },
        "vendors": {
            name: {
                "title": vendor.manifest.title,
                "stacks": list(vendor.stacks),
                "engines": _engines(vendor),
                "chips": [chip for one in vendor.hardware for chip in one.manifest.chips],
            }
            for name, vendor in catalog.vendors.items()
        },
    }


def _engines(vendor: Vendor) -> dict[str, list[str]]:
    """Return the precisions of each engine, in any of the vendor's stacks."""
    found: dict[str, list[str]] = {}
    for one in vendor.hardware:
        for name, spec in one.manifest.engines.items():
            listed = found.setdefault(name, [])
            listed += [precision for precision in spec.precisions if precision not in listed]
    return found


def _case_rows(catalog: Catalog) -> list[tuple[str, ...]]:
    return [
        (
            name,
            ", ".join(case.manifest.aliases),
            case.manifest.title,
            case.manifest.task,
            str(case.manifest.run.batch_size),
            case.manifest.metric.name,
            ", ".join(name.upper() for name in case.manifest.options),
        )
        for name, case in catalog.cases.items()
    ]


def _precisions(spec: EngineSpec, stack: str) -> list[str]:
    return [name for name in spec.precisions if stack in spec.stacks_with(name)]


def _vendor_rows(catalog: Catalog) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, vendor in catalog.vendors.items():
        for stack in vendor.stacks.values():
            manifest = vendor.manifest.of_stack(stack.name)
            engines = [
                f"{engine} ({', '.join(_precisions(spec, stack.name))})"
                for engine, spec in manifest.engines.items()
                if stack.name in spec.stacks
            ]
            alone = "yes" if stack.manifest.process_runner else "no"
            chips = ", ".join(
                chip for chip, spec in manifest.chips.items() if spec.runs_in(stack.name)
            )
            rows.append((name, stack.name, "; ".join(engines), chips, alone))
    return rows
