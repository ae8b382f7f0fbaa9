"""Which chip a job is booked on: what the device calls itself, held against vendor.toml. Pure.

The peaks of a chip decide its MFU, so a figure of an H200 that is filed as an A100 would look real and
be three times too large. Names are compared whole: "NVIDIA H100 PCIe" has other peaks than "NVIDIA H100".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.models.manifest import ChipSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog import Vendor

ListedChip = tuple[str, ChipSpec]


@dataclass(frozen=True, kw_only=True)
class ChosenChip:
    """A chip by name. ``doubt`` says why it may be another one; its MFU is None unless it was named."""

    name: str
    spec: ChipSpec
    doubt: str | None = None


def choose_chip(vendor: Vendor, asked: str | None, device_names: tuple[str, ...]) -> ChosenChip:
    """Return the chip of a job.

    ``asked`` is CHIP, or None; ``device_names`` is what the monitor calls the selected devices, empty
    where there is no monitor or it told nothing. Raises UsageFault for a CHIP that is unknown or that
    the device contradicts, and for devices of different chips.
    """
    known = {name: _listed(vendor, name) for name in device_names}
    if asked is not None:
        return _as_asked(vendor, asked, known)
    found = {chip[0]: chip for chip in known.values() if chip is not None}
    unlisted = [name for name, chip in known.items() if chip is None]
    if len(found) + len(unlisted) > 1:
        raise UsageFault(
            f"DEVICE names devices of different chips: {', '.join(known)}",
            "name devices of one chip, for example DEVICE=0",
        )
    if found:
        ((name, spec),) = found.values()
        return ChosenChip(name=name, spec=spec)
    return _unlisted(vendor, unlisted[0]) if unlisted else _assumed(vendor)


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
                f"CHIP={asked} was asked for, but the device is {chip[0]}: it calls itself "
                f"{device_name!r}",
                f"leave CHIP out, type CHIP={chip[0]}, or name another device with DEVICE=…",
            )
    strangers = [device_name for device_name, chip in known.items() if chip is None]
    if not strangers or not spec.match:
        return ChosenChip(name=name, spec=spec)
    return ChosenChip(
        name=name,
        spec=spec,
        doubt=f"the device calls itself {strangers[0]!r}, which is no name of {name} in vendor.toml; its "
        f"peaks count because CHIP={asked} was given",
    )


def _unlisted(vendor: Vendor, device_name: str) -> ChosenChip:
    """Return a chip without peaks, under the device's own name."""
    if not any(chip.match for chip in vendor.manifest.chips.values()):
        return _assumed(vendor)
    _, default = vendor.chip(None)
    return ChosenChip(
        name=device_name,
        spec=ChipSpec(title=device_name, match=(device_name,), options=default.options),
        doubt=f"no chip of {vendor.name} in vendor.toml is named {device_name!r}: its peaks are not known",
    )


def _assumed(vendor: Vendor) -> ChosenChip:
    """Return the vendor's default chip; without peaks where it is one of several."""
    name, spec = vendor.chip(None)
    if len(vendor.manifest.chips) == 1:
        return ChosenChip(name=name, spec=spec)
    return ChosenChip(
        name=name,
        spec=spec.model_copy(update={"peaks": {}, "published_peaks": {}}),
        doubt=f"nothing told which chip of {vendor.name} this is, {name} was assumed",
    )
