"""What a monitor tells of one device at one moment; a figure that it does not tell is None."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
_ABSENT = frozenset({"", "-", "NA", "N/A", "Not Supported"})


class MonitorFormatError(ValueError):
    """A monitor printed what no known version prints; the message names the line."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One device. ``energy_j`` is a counter since the monitor began, where the device has one."""

    device: str
    name: str = ""
    uuid: str = ""
    driver_version: str = ""
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    utilisation_percent: float | None = None
    clock_mhz: float | None = None
    energy_j: float | None = None


def unknown(tool: str, number: int, line: str, why: str) -> MonitorFormatError:
    """Return the error that says which line (counted from 1) no version of ``tool`` prints."""
    return MonitorFormatError(f"{tool}, line {number}: {why}: {line.strip()[:160]!r}")


def is_absent(text: str) -> bool:
    """Tell whether a cell stands for no figure; nvidia-smi says why in brackets: "[Unknown Error]"."""
    return text in _ABSENT or (text.startswith("[") and text.endswith("]"))


def number(text: str, *units: str) -> float | None:
    """Return the number in ``text``, without one of ``units`` behind it; None for "N/A" and the like.

    Raises:
        ValueError: it is neither.
    """
    text = text.strip()
    if is_absent(text):
        return None
    for unit in units:
        text = text.removesuffix(unit).rstrip()
    value = float(text)
    if not 0 <= value < 1e12:
        raise ValueError(text)
    return value


def mebibytes(text: str, *units: str) -> int | None:
    """Return bytes of a number of MiB ("MB" of the vendors' tools is MiB too)."""
    value = number(text, *units, "MiB", "MB")
    return None if value is None else round(value * MIB)
