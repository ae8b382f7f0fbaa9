"""Checks of vendor.toml against itself and its stacks: every name that it uses must exist. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import nearest
from driver.findings import failed, note, ok

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from driver.catalog import Vendor
    from driver.findings import Finding
    from driver.models.manifest import ChipSpec, EngineSpec

WHERE = "vendor.toml"


def check_manifest(vendor: Vendor) -> Iterator[Finding]:
    """Yield what is wrong between a vendor's manifest and its stacks, and what is worth knowing."""
    manifest = vendor.manifest
    problems = [
        *_named("default_stack", manifest.default_stack, vendor.stacks),
        *_named("default_engine", manifest.default_engine, manifest.engines),
        *_named("default_chip", manifest.default_chip, manifest.chips),
    ]
    for name, engine in manifest.engines.items():
        problems += _engine(vendor, name, engine)
    for stack in manifest.drivers:
        problems += _named(f"drivers.{stack}", stack, vendor.stacks)
    yield from problems
    if not problems:
        engines = ", ".join(manifest.engines)
        yield ok(WHERE, f"engines {engines}; stacks {', '.join(vendor.stacks)}")
    used = {stack for engine in manifest.engines.values() for stack in engine.stacks}
    for stack in sorted(set(vendor.stacks) - used):
        yield note(
            f"stack {stack}", "no engine of vendor.toml uses it", "name it in an engine's stacks"
        )
    yield from _chips(vendor)
    yield from _access(vendor)


def _named(key: str, name: str, known: Iterable[str]) -> list[Finding]:
    names = list(known)
    if name in names:
        return []
    return [
        failed(
            f"{WHERE}: {key}",
            f"{name!r} does not exist{nearest(name, names)}",
            f"name one of: {', '.join(names) or 'none is there yet'}",
        )
    ]


def _engine(vendor: Vendor, name: str, engine: EngineSpec) -> list[Finding]:
    key = f"engines.{name}"
    problems = _named(f"{key}.default_precision", engine.default_precision, engine.precisions)
    for stack in engine.stacks:
        problems += _named(f"{key}.stacks", stack, vendor.stacks)
    if not engine.stacks:
        problems.append(
            failed(f"{WHERE}: {key}.stacks", "it is empty", "name the stacks that have it")
        )
    validating = engine.validate_engine
    if validating is None:
        return problems
    problems += _named(f"{key}.validate_engine", validating, vendor.manifest.engines)
    framework = vendor.manifest.engines.get(validating)
    absent = sorted(set(engine.stacks) - set(framework.stacks)) if framework else []
    if absent:
        problems.append(
            failed(
                f"{WHERE}: {key}.validate_engine",
                f"{validating!r} is not in {', '.join(absent)}, where {name} is",
                f"add these stacks to engines.{validating}.stacks, or drop validate_engine",
            )
        )
    return problems


def _chips(vendor: Vendor) -> Iterator[Finding]:
    wanted: set[str] = {
        precision.arithmetic
        for engine in vendor.manifest.engines.values()
        for precision in engine.precisions.values()
    }
    for name, chip in vendor.manifest.chips.items():
        yield _chip(name, chip, wanted)


def _chip(name: str, chip: ChipSpec, wanted: set[str]) -> Finding:
    what = f"chip {name}"
    if chip.peaks and not chip.peaks_source.strip():
        return failed(
            what,
            "its peaks have no source",
            f"say where they are printed: chips.{name}.peaks_source",
        )
    wanted = wanted - set(chip.lacks)
    lacking = sorted(wanted - set(chip.peaks))
    if lacking:
        return note(
            what,
            f'no peak for {", ".join(lacking)}: MFU will print "/" there',
            f"add it to chips.{name}.peaks where the vendor publishes one",
        )
    return ok(what, f"peaks for {', '.join(sorted(wanted))}")


def _access(vendor: Vendor) -> Iterator[Finding]:
    devices = vendor.manifest.devices
    if devices.capabilities:
        yield note(
            "devices: capabilities",
            f"{', '.join(devices.capabilities)}: every result will show it",
            "drop them where the SDK works without",
        )
    for mount in devices.mounts:
        if not mount.read_only:
            yield note(
                "devices: mounts",
                f"{mount.source} of the host can be written to: every result will show it",
                "drop read_only = false where the SDK works without",
            )
    several = any("{index}" in node for node in devices.nodes) or devices.gpus != "none"
    if devices.nodes and not several and devices.select is None:
        yield note(
            "devices: selection",
            "nothing in [devices] depends on DEVICE=",
            'use "{index}" in a node, or name the selecting variable: select = "…_VISIBLE_DEVICES"',
        )
