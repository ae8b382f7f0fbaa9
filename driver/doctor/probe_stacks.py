"""Gathers what a vendor's stages would run in: engine, images, environments. Nothing is created."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.doctor.facts import ApptainerFact, ContainerEngine, StackFact, Unavailable
from driver.errors import AssayError
from driver.runners.apptainer.program import NAMES, find_program
from driver.runners.engine.client import connect, engine_faults
from driver.runners.engine.traits import read_traits
from driver.stacks.archived.found import places
from driver.stacks.archived.sif import has_image
from driver.stacks.base_image import inspect
from driver.stacks.building.build_context import find_installers
from driver.stacks.environments import LOCK_DIGITS, find_python, read_environment
from driver.stacks.image import is_own_base, make_builder
from driver.stacks.locks import lock_sha256, parse_lock, target_of
from driver.stacks.recipes import LOCK
from driver.stacks.room import free_on
from driver.stacks.wheelhouse import Wheelhouse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driver.catalog.catalog import Catalog
    from driver.catalog.vendor import Stack, Vendor
    from driver.stacks.image import StackImage
    from driver.system.settings import Settings


def engine_facts(
    settings: Settings, catalog: Catalog, vendor: Vendor, *, wanted: str
) -> tuple[ContainerEngine, tuple[StackFact, ...]]:
    """Return the container engine, and the facts of the reference stack and of the vendor's stacks."""
    try:
        client: Any = connect()
    except AssayError as error:
        client = None
        engine = ContainerEngine(problem=Unavailable(message=error.message, remedy=error.remedy))
    else:
        engine = engine_fact(client)
    reference = [] if catalog.invalid_reference else [catalog.reference]
    needed = {wanted, *(stack.name for stack in reference)}
    try:
        api = None if engine.problem or client is None else client.api
        facts = tuple(
            _stack(stack, settings, api, wanted=stack.name in needed)
            for stack in (*reference, *vendor.stacks.values())
        )
    finally:
        if client is not None:
            client.close()
    return engine, facts


def engine_fact(client: Any) -> ContainerEngine:
    """Return what an engine reports about itself, and the free space on its disk."""
    try:
        with engine_faults():
            info = client.info()
        traits = read_traits(client)
    except AssayError as error:
        return ContainerEngine(problem=Unavailable(message=error.message, remedy=error.remedy))
    devices = [str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or []]
    return ContainerEngine(
        version=f"{traits.title}, on {info.get('Name') or 'an unnamed host'}",
        runtimes=frozenset(info.get("Runtimes") or {}),
        cdi_kinds=frozenset(device.partition("=")[0] for device in devices if device),
        root=str(info.get("DockerRootDir") or ""),
        storage_driver=str(info.get("Driver") or ""),
        free_bytes=free_on(Path(info.get("DockerRootDir") or "")),
        rootless=traits.rootless,
        podman=traits.podman,
        unlimited=tuple(
            name
            for name, limited in (
                ("memory", traits.limits_memory),
                ("processes", traits.limits_processes),
            )
            if not limited
        ),
    )


def apptainer_fact(settings: Settings, stacks: Iterable[StackFact]) -> ApptainerFact:
    """Return what this machine has for RUNNER=apptainer."""
    if not any(map(shutil.which, NAMES)) or settings.host is not None:
        return ApptainerFact()
    try:
        program = find_program()
    except AssayError as error:
        return ApptainerFact(problem=Unavailable(message=error.message, remedy=error.remedy))
    wanted = [fact.stack for fact in stacks if fact.wanted and fact.stack.found is None]
    return ApptainerFact(
        title=program.title,
        lacking=tuple(f"{one.vendor}/{one.name}" for one in wanted if not has_image(one, settings)),
        images=places(settings.root, settings.home),
    )


def _stack(stack: Stack, settings: Settings, api: Any, *, wanted: bool) -> StackFact:
    if stack.found is not None:
        found = stack.found
        return StackFact(stack=stack, wanted=wanted, environment=True, stand_in=found.stand_in)
    lock, wheels, missing = _wheels(stack, settings)
    installers = _installers(stack, settings)
    image = None if api is None else _image(stack, settings, api)
    return StackFact(
        stack=stack,
        wanted=wanted,
        image=None if image is None else image.tag,
        stand_in=image is not None and image.stand_in,
        base_named="" if image is None or is_own_base(image.labels, stack.manifest) else image.base,
        base_here=api is not None and _has_base(stack, settings, api),
        installers=installers,
        environment=_has_environment(stack, settings),
        python=_has_python(stack.manifest.python),
        lock=lock,
        wheels=wheels,
        wheels_missing=missing,
    )


def _image(stack: Stack, settings: Settings, api: Any) -> StackImage | None:
    return make_builder(api, stack, settings, lambda _text: None).find(stack)


def _has_base(stack: Stack, settings: Settings, api: Any) -> bool:
    base = stack.manifest.base
    named = settings.base_of(stack.vendor)
    reference = named or base.image
    if named is None and base.digest:
        reference = f"{reference.partition('@')[0]}@{base.digest}"
    return inspect(api, reference) is not None


def _installers(stack: Stack, settings: Settings) -> Unavailable | None:
    try:
        find_installers(stack, settings.installers)
    except AssayError as error:
        return Unavailable(message=error.message, remedy=error.remedy)
    return None


def _wheels(stack: Stack, settings: Settings) -> tuple[Unavailable | None, int, int]:
    lock = stack.folder / LOCK
    if not lock.is_file() and not stack.manifest.process_runner:
        return None, 0, 0
    try:
        pins = parse_lock(lock)
    except AssayError as error:
        return Unavailable(message=error.message, remedy=error.remedy), 0, 0
    found = Wheelhouse(settings.home).find(pins, target_of(stack.manifest.python))
    return None, len(found), sum(wheel is None for wheel in found.values())


def _has_environment(stack: Stack, settings: Settings) -> bool:
    lock = stack.folder / LOCK
    if not lock.is_file():
        return False
    name = f"{stack.folder.name}-{lock_sha256(lock)[:LOCK_DIGITS]}"
    return read_environment(settings.home / "venvs" / name) is not None


def _has_python(version: str) -> bool:
    wanted = ".".join(version.split(".")[:2])
    return find_python(wanted) != wanted or shutil.which(f"python{wanted}") is not None
