"""Which chip a job is attributed to: compares the device's own name with vendor.toml. Pure.

A chip's peaks decide its MFU: an H200's figure filed under A100 would look real and be three times
too large. Whole names are compared, since "NVIDIA H100 PCIe" has other peaks than "NVIDIA H100".
A part of a device (a MIG slice, a virtual GPU, some threads of a processor) is a chip of its own,
without peaks. A host's chip is its processor model and the share in use: two processors are two chips.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.models.vendor import ChipSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog.vendor import ListedChip, Vendor

GIB = 1 << 30
PROCESSOR = "processor"
PART_OF_MEMORY = 0.75
"""A device with a smaller share of its chip's memory is a part of it: drivers reserve a tenth at most."""


@dataclass(frozen=True, kw_only=True)
class SeenDevice:
    """A device as its monitor names it.

    For a part of a device, ``name`` is the part's own name, ``whole`` the whole device's ("" if unknown)
    and ``part`` says which part it is. ``memory_bytes`` is None, and ``uuid`` "", if the monitor does not
    report it.
    """

    name: str
    whole: str = ""
    part: str = ""
    memory_bytes: int | None = None
    uuid: str = ""


@dataclass(frozen=True, kw_only=True)
class ChosenChip:
    """A chip by name. ``caveat`` says why it may be a different one.

    A chip with a caveat has peaks, hence an MFU, only if CHIP named it. ``part`` says which part of a
    device it is, "" for a whole one.
    """

    name: str
    spec: ChipSpec
    caveat: str | None = None
    part: str = ""


def choose_chip(
    vendor: Vendor,
    asked: str | None,
    devices: tuple[SeenDevice, ...],
    stacks: tuple[str, ...] = (),
) -> ChosenChip:
    """Return the chip of a job.

    ``asked`` is CHIP, or None; ``devices`` are the selected ones as the monitor names them, empty where
    there is no monitor or it reports none. ``stacks`` are those that the job may run in: without a device,
    one of them supports the chip that is assumed. Raises UsageFault for a CHIP that is unknown or that the
    device contradicts, and for devices of different chips.
    """
    if vendor.manifest.runs_on_host:
        return _processor(vendor, asked, devices)
    devices = tuple(_with_memory(vendor, device) for device in devices)
    if any(device.part for device in devices):
        return _part(vendor, asked, devices)
    known = {device.name: _listed(vendor, device.name) for device in devices}
    if asked is not None:
        return _as_asked(vendor, asked, known)
    found = {chip[0]: chip for chip in known.values() if chip is not None}
    unlisted = [name for name, chip in known.items() if chip is None]
    if len(found) + len(unlisted) > 1:
        _require_one(list(known))
    if found:
        ((name, spec),) = found.values()
        return ChosenChip(name=name, spec=spec)
    return _unlisted(vendor, unlisted[0], stacks) if unlisted else _assumed(vendor, stacks)


def identities(vendor: Vendor, selected: str, devices: tuple[SeenDevice, ...]) -> tuple[str, ...]:
    """Return what tells the selected devices from this host's others: one job at a time has each.

    ``selected`` is DEVICE: an index and a uuid may name the same device. The host's processor is one
    device, whichever vendor runs on it.
    """
    if vendor.manifest.runs_on_host:
        return (PROCESSOR,)
    uuids = tuple(device.uuid for device in devices)
    if uuids and all(uuids):
        return uuids
    indices = (part.strip() for part in selected.split(","))
    return tuple(f"{vendor.name}-{index}" for index in indices if index)


def _processor(vendor: Vendor, asked: str | None, devices: tuple[SeenDevice, ...]) -> ChosenChip:
    """Return this host's processor under its own name; peaks are those of a whole one."""
    name, spec = vendor.chip(asked)
    if not devices:
        caveat = "the processor that runs the stages is unknown: it may be another host's"
        return ChosenChip(name=name, spec=_without_peaks(spec), caveat=caveat)
    (device,) = devices
    spec = _without_peaks(spec) if device.part else spec
    titled = spec.model_copy(update={"title": device.name})
    part = f"{device.part} of {device.whole}" if device.part else ""
    return ChosenChip(name=device.name, spec=titled, part=part)


def _without_peaks(spec: ChipSpec) -> ChipSpec:
    return spec.model_copy(update={"peaks": {}, "published_peaks": {}})


def _with_memory(vendor: Vendor, device: SeenDevice) -> SeenDevice:
    """Mark a device as a part if its memory is too small for its chip."""
    chip = _listed(vendor, device.name)
    if device.part or chip is None or device.memory_bytes is None or chip[1].memory_gib is None:
        return device
    memory_gib = device.memory_bytes / GIB
    if memory_gib >= PART_OF_MEMORY * chip[1].memory_gib:
        return device
    return replace(
        device,
        name=f"{device.name}, {memory_gib:.1f} GiB",
        whole=device.name,
        part=f"{memory_gib:.1f} of {chip[1].memory_gib:g} GiB",
    )


def _part(vendor: Vendor, asked: str | None, devices: tuple[SeenDevice, ...]) -> ChosenChip:
    """Return a part of a device as a chip of its own: no peaks, and the whole's options."""
    _require_one([device.name for device in devices])
    device = devices[0]
    part = f"{device.part} of {device.whole}" if device.whole else device.part
    if asked is not None:
        vendor.chip(asked)
        raise UsageFault(
            f"CHIP={asked} does not match the device, which is only a part: {device.name!r} ({part})",
            f"leave CHIP out (a part of a chip has its own name and no MFU), or use a whole {asked}",
        )
    _, spec = _listed(vendor, device.whole) or vendor.chip(None)
    own = ChipSpec(
        title=device.name,
        match=(device.name,),
        stacks=spec.stacks,
        options=spec.options,
        lacks=spec.lacks,
    )
    return ChosenChip(name=device.name, spec=own, part=part)


def _require_one(names: list[str]) -> None:
    if len(set(names)) > 1:
        raise UsageFault(
            f"DEVICE selects devices of different chips: {', '.join(names)}",
            "select devices of one chip, for example DEVICE=0",
        )


def _listed(vendor: Vendor, device_name: str) -> ListedChip | None:
    for chip in vendor.manifest.chips.items():
        if device_name.lower() in {one.lower() for one in chip[1].match}:
            return chip
    return None


def _as_asked(vendor: Vendor, asked: str, known: Mapping[str, ListedChip | None]) -> ChosenChip:
    name, spec = vendor.chip(asked)
    for device_name, chip in known.items():
        if chip is not None and chip[0] != name:
            raise UsageFault(
                f"CHIP={asked} does not match the device, which is {chip[0]} (its name is "
                f"{device_name!r})",
                f"leave CHIP out, type CHIP={chip[0]}, or select another device with DEVICE=…",
            )
    strangers = [device_name for device_name, chip in known.items() if chip is None]
    if not strangers or not spec.match:
        return ChosenChip(name=name, spec=spec)
    return ChosenChip(
        name=name,
        spec=spec,
        caveat=f"the device's name {strangers[0]!r} is not one of {name}'s names in vendor.toml; the "
        f"peaks of {name} are used because of CHIP={asked}",
    )


def _unlisted(vendor: Vendor, device_name: str, stacks: tuple[str, ...]) -> ChosenChip:
    """Return a chip without peaks, under the device's own name."""
    if not any(chip.match for chip in vendor.manifest.chips.values()):
        return _assumed(vendor, stacks)
    _, default = vendor.chip(None)
    return ChosenChip(
        name=device_name,
        spec=ChipSpec(title=device_name, match=(device_name,), options=default.options),
        caveat=f"vendor.toml of {vendor.name} lists no chip named {device_name!r}: no peaks are known",
    )


def _assumed(vendor: Vendor, stacks: tuple[str, ...]) -> ChosenChip:
    """Return the default chip, or the first that a stack supports; without peaks where it is one of several."""
    default = vendor.chip(None)
    supported = (
        chip
        for chip in (default, *vendor.manifest.chips.items())
        if not stacks or chip[1].runs_in(*stacks)
    )
    name, spec = next(supported, default)
    if len(vendor.manifest.chips) == 1:
        return ChosenChip(name=name, spec=spec)
    return ChosenChip(
        name=name,
        spec=_without_peaks(spec),
        caveat=f"the chip of {vendor.name} could not be detected; {name} is assumed",
    )
