"""May a vendor's job run on a host's processor: its maker, and the instructions that an arithmetic needs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.catalog.vendor import Vendor
    from driver.system.host.processor import Identity


def misfit(
    vendor: Vendor, seen: Identity, vendors: Iterable[Vendor] = ()
) -> tuple[str, str] | None:
    """Return (message, remedy) if the processor is another maker's than the vendor measures, else None.

    The remedy names those of ``vendors`` that measure this one.
    """
    wanted = vendor.manifest.processor.vendor_id
    if wanted in ("", seen.vendor_id):
        return None
    return (
        f"{vendor.name} measures processors with the vendor_id {wanted}; this host's is {seen.model} "
        f"({seen.vendor_id or 'no vendor_id'})",
        _others(seen, vendors),
    )


def _others(seen: Identity, vendors: Iterable[Vendor]) -> str:
    names = sorted(
        one.name
        for one in vendors
        if one.manifest.runs_on_host and one.manifest.processor.vendor_id in ("", seen.vendor_id)
    )
    if not names:
        return "run it on a host with such a processor"
    listed = " or ".join(f"VENDOR={name}" for name in names)
    return f"use {listed}, which {'measures' if len(names) == 1 else 'measure'} this processor"


def lacking(vendor: Vendor, seen: Identity, arithmetic: str) -> tuple[str, str] | None:
    """Return (message, remedy) if the processor lacks instructions for an arithmetic, else None."""
    missing = _missing(vendor.manifest.processor.flags.get(arithmetic, ()), seen)
    if not missing:
        return None
    return (
        f"{seen.model} lacks {', '.join(missing)}, without which {arithmetic} would be emulated",
        "choose another PRECISION, or run it on a processor that has them",
    )


def _missing(flags: Sequence[str], seen: Identity) -> list[str]:
    return [flag for flag in flags if flag not in seen.flags]
