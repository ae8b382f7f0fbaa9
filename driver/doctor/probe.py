"""Gathers the facts about this machine that `doctor` judges. Nothing is fetched, built or changed."""

from __future__ import annotations

import grp
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from driver.datasets.locate import locate_dataset
from driver.datasets.weights import locate_weights
from driver.doctor.facts import (
    CaseFact,
    Facts,
    HostMountFact,
    Machine,
    MonitorFact,
    Node,
    Unavailable,
    User,
)
from driver.doctor.probe_stacks import apptainer_fact, engine_facts
from driver.errors import AssayError
from driver.monitors.sources import (
    COMMANDS,
    MonitorError,
    MonitorFormatError,
    is_stand_in,
    make_source,
)
from driver.runners.admission import device_files, gpu_problem
from driver.runners.devices import select_devices
from driver.stacks.host_driver import ask
from driver.system.host.machine import host_facts
from driver.system.host.processor import read_identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from driver.catalog.catalog import Case, Catalog
    from driver.catalog.vendor import Vendor
    from driver.doctor.facts import StackFact
    from driver.models.vendor import MonitorSpec
    from driver.system.settings import Settings


def gather(
    settings: Settings,
    catalog: Catalog,
    vendor: Vendor,
    *,
    wanted: str,
    device: str = "0",
    cases: Iterable[Case] = (),
) -> Facts:
    """Return the facts about this machine that matter to a vendor.

    ``wanted`` is the name of the stack to use, ``device`` is as in DEVICE=. The facts include where
    the weights and datasets of ``cases`` come from.
    """
    engine, stacks = engine_facts(settings, catalog, vendor, wanted=wanted)
    devices = select_devices(vendor.manifest.devices, device)
    monitor = monitor_facts(vendor.manifest.monitor)
    return Facts(
        vendor=vendor,
        vendors=tuple(catalog.vendors.values()),
        device=device,
        host=settings.host,
        user=User(
            uid=os.geteuid(),
            gid=os.getegid(),
            gids=frozenset({os.getegid(), *os.getgroups()}),
        ),
        machine=_machine(settings),
        engine=engine,
        apptainer=apptainer_fact(settings, stacks),
        nodes=tuple(fact for path in devices.nodes for fact in node_facts(path)),
        gpu_problem=gpu_problem(devices, monitor.devices),
        host_mounts=tuple(
            HostMountFact(
                source=mount.source, optional=mount.optional, exists=Path(mount.source).exists()
            )
            for mount in devices.host_mounts
        ),
        group_ids={group.gr_name: group.gr_gid for group in grp.getgrall()},
        stacks=tuple(_with_driver(stacks, vendor)),
        reference_problem=next(
            (
                Unavailable(message=one.fault.message, remedy=one.fault.remedy)
                for one in catalog.invalid_reference
            ),
            None,
        ),
        monitor=monitor,
        processor=read_identity(),
        cases=tuple(_case(case, settings) for case in cases),
    )


def node_facts(path: str) -> tuple[Node, ...]:
    """Return the file system's facts about a device node, or about every node in a folder.

    A folder without nodes is returned itself.
    """
    return tuple(_node(str(file)) for file in device_files(path)) or (_node(path),)


def _node(path: str) -> Node:
    try:
        found = Path(path).stat()
    except OSError:
        return Node(path=path, exists=False)
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = ""
    return Node(
        path=path,
        exists=True,
        is_device=stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode),
        is_folder=stat.S_ISDIR(found.st_mode),
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        group=group,
    )


def monitor_facts(spec: MonitorSpec) -> MonitorFact:
    """Read the monitor once; a failure is the ``problem`` of the fact."""
    source = make_source(spec)
    if source is None:
        return MonitorFact()
    try:
        readings = source.read()
    except (MonitorError, MonitorFormatError) as error:
        hung = isinstance(error, MonitorError) and error.kind == "hung"
        return MonitorFact(problem=str(error), hung=hung)
    command = spec.command or COMMANDS.get(spec.parser, ())
    return MonitorFact(
        devices=tuple(
            " ".join(filter(None, (reading.device, reading.name, reading.driver_version)))
            for reading in readings
        ),
        indices=tuple(reading.device for reading in readings),
        uuids=tuple(reading.uuid for reading in readings if reading.uuid),
        simulated=is_stand_in(command),
    )


def _with_driver(stacks: Iterable[StackFact], vendor: Vendor) -> Iterable[StackFact]:
    for stack in stacks:
        requirement = vendor.manifest.drivers.get(stack.stack.name)
        yield stack if requirement is None else replace(stack, driver=ask(requirement))


def _machine(settings: Settings) -> Machine:
    host = host_facts()
    home = settings.home
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    return Machine(
        threads=host.threads,
        memory_bytes=host.memory_bytes,
        home=str(home),
        free_bytes=shutil.disk_usage(existing).free,
        home_problem="" if writable else f"this user cannot write to {existing}",
    )


def _case(case: Case, settings: Settings) -> CaseFact:
    return CaseFact(
        name=case.name,
        weights=_weights(case, settings),
        dataset_name=case.manifest.data.dataset,
        dataset=_dataset(case, settings),
        memory_gib=max(case.manifest.run.memory_gib.values(), default=0.0),
    )


def _weights(case: Case, settings: Settings) -> str | Unavailable:
    try:
        found = locate_weights(case, None, settings)
    except AssayError as error:
        return Unavailable(message=error.message, remedy=error.remedy)
    except OSError as error:
        return Unavailable(
            message=f"cannot be read: {error}", remedy="fix its permissions, or the disk"
        )
    return f"{found.kind}, {found.format}: {', '.join(found.files)}"


def _dataset(case: Case, settings: Settings) -> str | Unavailable:
    try:
        source = locate_dataset(case, None, settings.datasets, settings.datasets_home)
    except AssayError as error:
        return Unavailable(message=error.message, remedy=error.remedy)
    return str(source.folder)
