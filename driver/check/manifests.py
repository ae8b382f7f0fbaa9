"""Checks that every name in vendor.toml exists in it or in its stacks. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.doctor.finding import failed, note, ok
from driver.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from driver.catalog.vendor import Vendor
    from driver.doctor.finding import Finding
    from driver.models.vendor import ChipSpec, EngineSpec

WHERE = "vendor.toml"


def check_manifest(vendor: Vendor) -> Iterator[Finding]:
    """Yield the findings about a vendor's manifest and its stacks."""
    manifest = vendor.manifest
    here = vendor.stacks_here
    of_stack = f"stacks.{vendor.other_hardware}"
    problems = [
        *_named(
            of_stack if vendor.other_hardware else "default_stack", manifest.default_stack, here
        ),
        *_named(vendor.table("default_engine"), manifest.default_engine, manifest.engines),
        *_named(vendor.table("default_chip"), manifest.default_chip, manifest.chips),
    ]
    for name, engine in manifest.engines.items():
        problems += _engine(vendor, name, engine)
    for head, own in manifest.stacks.items():
        for stack in own.also:
            problems += _named(f"stacks.{head}.also", stack, vendor.stacks)
    for stack in () if vendor.other_hardware else manifest.drivers:
        problems += _named(f"drivers.{stack}", stack, vendor.stacks)
    yield from problems
    if not problems:
        engines = ", ".join(manifest.engines)
        yield ok(WHERE, f"engines {engines}; stacks {', '.join(here)}")
    used = {stack for engine in manifest.engines.values() for stack in engine.stacks}
    for stack in sorted(set(here) - used):
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
            f"use one of: {', '.join(names)}" if names else "add one first; there is none yet",
        )
    ]


def _engine(vendor: Vendor, name: str, engine: EngineSpec) -> list[Finding]:
    key = vendor.table(f"engines.{name}")
    problems = _precisions(key, engine)
    for stack in engine.stacks:
        problems += _named(f"{key}.stacks", stack, vendor.stacks)
    if not engine.stacks:
        problems.append(
            failed(f"{WHERE}: {key}.stacks", "it is empty", "name the stacks that have this engine")
        )
    validating = engine.validate_engine
    if validating is None:
        return problems
    problems += _named(f"{key}.validate_engine", validating, vendor.manifest.engines)
    framework = vendor.manifest.engines.get(validating)
    if framework is not None and framework.harness_engine == "onnxruntime":
        problems.append(
            failed(
                f"{WHERE}: {key}.validate_engine",
                f"{validating!r} is an execution provider, not the framework itself",
                "name an engine that runs the framework, or remove validate_engine",
            )
        )
    absent = sorted(set(engine.stacks) - set(framework.stacks)) if framework else []
    if absent:
        problems.append(
            failed(
                f"{WHERE}: {key}.validate_engine",
                f"{validating!r} is not in {', '.join(absent)}, but {name} is",
                f"add these stacks to engines.{validating}.stacks, or remove validate_engine",
            )
        )
    return problems


def _precisions(key: str, engine: EngineSpec) -> list[Finding]:
    default = engine.default_precision
    problems = _named(f"{key}.default_precision", default, engine.precisions)
    for name, spec in engine.precisions.items():
        for stack in spec.stacks:
            problems += _named(f"{key}.precisions.{name}.stacks", stack, engine.stacks)
    lacking = sorted(set(engine.stacks) - set(engine.stacks_with(default)))
    if lacking:
        problems.append(
            failed(
                f"{WHERE}: {key}.default_precision",
                f"{', '.join(lacking)} of the engine's stacks lacks {default}",
                "choose a precision that all of them have",
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
        for stack in chip.stacks:
            yield from _named(vendor.table(f"chips.{name}.stacks"), stack, vendor.stacks)
        yield _chip(name, chip, wanted)


def _chip(name: str, chip: ChipSpec, wanted: set[str]) -> Finding:
    what = f"chip {name}"
    if chip.memory_bandwidth and not chip.memory_bandwidth_source.strip():
        return failed(
            what,
            "its memory bandwidth has no source",
            f"name the document it comes from: chips.{name}.memory_bandwidth_source",
        )
    if chip.peaks and not chip.peaks_source.strip():
        return failed(
            what,
            "its peaks have no source",
            f"name the document they come from: chips.{name}.peaks_source",
        )
    wanted = wanted - set(chip.lacks)
    lacking = sorted(wanted - set(chip.peaks))
    if lacking:
        return note(
            what,
            f'no peak for {", ".join(lacking)}: the MFU of these will be "/"',
            f"add it to chips.{name}.peaks if the vendor publishes one",
        )
    return ok(what, f"peaks for {', '.join(sorted(wanted))}")


def _access(vendor: Vendor) -> Iterator[Finding]:
    devices = vendor.manifest.devices
    if devices.capabilities:
        yield note(
            "devices: capabilities",
            f"containers get {', '.join(devices.capabilities)}; every result will have a warning",
            "remove them if the SDK works without them",
        )
    for mount in devices.mounts:
        if not mount.read_only:
            yield note(
                "devices: mounts",
                f"containers can write to {mount.source} of the host; every result will have a warning",
                "remove read_only = false if the SDK works without it",
            )
    several = any("{index}" in node for node in devices.nodes) or devices.gpus != "none"
    if devices.nodes and not several and devices.select is None:
        yield note(
            "devices: selection",
            "nothing in [devices] depends on DEVICE=",
            'use "{index}" in a node, or name the variable that selects: select = "…_VISIBLE_DEVICES"',
        )
