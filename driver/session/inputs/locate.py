"""Finds what a job needs of this host, cheapest check first, before anything is fetched or installed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from driver.datasets.hidden import hidden_note
from driver.datasets.locate import locate_inputs
from driver.errors import EnvironmentFault
from driver.monitors.seen import absent_devices, seen_devices
from driver.plan.memory import stored_bytes
from driver.plan.processor import lacking, misfit
from driver.runners.admission import require_devices, require_gpu, require_reported
from driver.runners.devices import Devices, select_devices
from driver.stacks.host_driver import require
from driver.system.host.processor import read_identity
from driver.system.workspace import require_room

if TYPE_CHECKING:
    from pathlib import Path

    from driver.datasets.locate import DatasetSource
    from driver.datasets.weights import WeightsSource
    from driver.plan.choice import Choice
    from driver.session.site import Site

EXPORT_COPIES = 3
"""An export contains the graph twice (raw and simplified) and the framework's weights once."""

LARGE_EXPORT_BYTES = 4 << 30
LARGE_EXPORT_COPIES = 2
"""From so many bytes on a graph is not simplified, and refers to the weights, but for what the exporter rearranges."""


@dataclass(frozen=True, kw_only=True)
class Located:
    """What a job needs of this host: the provenance of its host driver, its weights, its dataset."""

    host_driver: dict[str, Any]
    weights: WeightsSource
    source: DatasetSource


def locate(site: Site, choice: Choice) -> Located:
    """Check device, driver, engine, weights, data and disk, in this order, without fetching anything.

    Raises EnvironmentFault or DataFault, each with its remedy.
    """
    host_driver = _host_of_the_device(site, choice)
    site.runner.availability()
    weights, source = locate_inputs(choice.case, choice.request, site.settings)
    _require_room(site, choice)
    kinds = {f".{form.kind}" for form in choice.case.manifest.weights.formats} | {".safetensors"}
    if (note := hidden_note(weights.folder, kinds)) is not None:
        site.listener.note(note)
    return Located(host_driver=host_driver, weights=weights, source=source)


def export_bytes(choice: Choice) -> int:
    """Return how many bytes the export of a job's model takes in the cache."""
    once = stored_bytes(choice)
    return once * (LARGE_EXPORT_COPIES if once >= LARGE_EXPORT_BYTES else EXPORT_COPIES)


def _require_room(site: Site, choice: Choice) -> None:
    """Raise EnvironmentFault unless what is to be installed, and then the export, fits on its disk.

    Images go to the container engine's disk, everything else to that of ASSAY_HOME.
    """
    needed: Counter[Path] = Counter()
    for stack in (site.catalog.reference, choice.stack):
        needed.update(site.installer.room(stack))
    if needed:
        needed[site.settings.home] += export_bytes(choice)
        name = f"the first run of {choice.case.name} on {choice.vendor.name}"
        require_room(needed, home=site.settings.home, what=name)


def _require_processor(site: Site, choice: Choice) -> None:
    """Raise EnvironmentFault on a processor of another maker, or without the instructions for the precision."""
    seen = read_identity()
    unfit = misfit(choice.vendor, seen, site.catalog.vendors.values()) or lacking(
        choice.vendor, seen, choice.precision.arithmetic
    )
    if unfit is not None:
        raise EnvironmentFault(*unfit)


def _host_of_the_device(site: Site, choice: Choice) -> dict[str, Any]:
    """Return what is known of the vendor's host driver; checked before an hour of downloads.

    Raises EnvironmentFault for a missing device and for a driver that is too old.
    """
    # Slurm runs the stages on another host, and a stand-in simulates its devices.
    if choice.elsewhere or site.settings.stand_ins:
        return {}
    vendor, device = choice.vendor, choice.request.device
    _require_processor(site, choice)
    selected = select_devices(vendor.manifest.devices, device)
    require_devices(selected)
    simulated = choice.stack.found is not None and choice.stack.found.stand_in
    seen = seen_devices(vendor.manifest.monitor, device)
    # First, since it knows the devices that there are: GPU 0 may be lost, GPU 1 at work.
    if not simulated and len(seen) < len(device.split(",")):
        require_reported(vendor.name, *absent_devices(vendor.manifest.monitor, device))
    require_gpu(
        Devices() if simulated else selected,
        seen,
        "run it on a host with that device; "
        f"`make doctor CASE={choice.case.name} VENDOR={vendor.name}` says what is missing here",
    )
    requirement = vendor.manifest.drivers.get(choice.stack.name)
    if requirement is None:
        return {}
    return {"host_driver": require(requirement, choice.stack.name).provenance()}
