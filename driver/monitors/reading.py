"""What a monitor reports of a device at one moment; a figure that it does not report is None."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

MIB = 1 << 20
_ABSENT = frozenset({"", "-", "NA", "N/A", "Not Supported"})


class MonitorFormatError(ValueError):
    """The output of a monitor matches no known version; the message names the line."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One device. ``energy_j`` counts since the monitor started, if the device has a counter."""

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


class Readings(tuple[Reading, ...]):
    """Every device that a monitor reported at one moment.

    ``remarks``: other lines that it printed, such as a warning between two rows. The readings are
    still valid; the result carries the remarks as a warning.
    """

    remarks: tuple[str, ...]

    def __new__(cls, readings: Iterable[Reading], remarks: Iterable[str] = ()) -> Self:
        """Return the readings, with the remarks that came with them."""
        made = super().__new__(cls, readings)
        made.remarks = tuple(remarks)
        return made


def remarks_of(readings: tuple[Reading, ...]) -> tuple[str, ...]:
    """Return the remarks that came with readings; empty for plain tuples."""
    return readings.remarks if isinstance(readings, Readings) else ()


def unknown(tool: str, number: int, line: str, why: str) -> MonitorFormatError:
    """Return the error for a line (counted from 1) that no known version of ``tool`` prints."""
    return MonitorFormatError(f"{tool}, line {number}: {why}: {line.strip()[:160]!r}")


def is_absent(text: str) -> bool:
    """Whether a cell means "no figure"; nvidia-smi gives the reason in brackets: "[Unknown Error]"."""
    return text in _ABSENT or (text.startswith("[") and text.endswith("]"))


def number(text: str, *units: str) -> float | None:
    """Return the number in ``text``, without a trailing unit; None for "N/A" and the like.

    Raises:
        ValueError: ``text`` is neither.
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
    """Return a number of MiB in bytes (vendors' tools mean MiB by "MB" too)."""
    value = number(text, *units, "MiB", "MB")
    return None if value is None else round(value * MIB)
