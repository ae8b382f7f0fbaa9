"""``nvidia-smi --query-gpu=… --format=csv``, with or without header and units.

Columns and their units: https://docs.nvidia.com/deploy/nvidia-smi/ (``--help-query-gpu``).
"""

from __future__ import annotations

import csv

from driver.monitors.reading import (
    MonitorFormatError,
    Reading,
    Readings,
    is_absent,
    mebibytes,
    number,
    unknown,
)

COLUMNS = (
    "uuid",
    "name",
    "driver_version",
    "memory.used",
    "memory.total",
    "power.draw",
    "utilization.gpu",
    "temperature.gpu",
    "clocks.sm",
)
COMMAND = ("nvidia-smi", f"--query-gpu={','.join(COLUMNS)}", "--format=csv,noheader,nounits")
_SYNONYMS = {
    "clocks.current.sm": "clocks.sm",
    "gpu.power.draw": "power.draw",
    "gpu_uuid": "uuid",
    "gpu_name": "name",
}


LOST = "Unable to determine the device handle"
"""Printed instead of the row of a device that fell off the bus; later devices keep their index."""


def parse(text: str, *, tool: str = "nvidia-smi") -> Readings:
    """Read rows with the columns of the header, else ``COLUMNS``; the device is the row's index.

    Any other line, such as ``WARNING: infoROM is corrupted``, becomes a remark.
    """
    columns: tuple[str, ...] = COLUMNS
    readings: list[Reading] = []
    remarks: list[str] = []
    lost = 0
    for line_number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        if not any(cells):
            continue
        if not readings and _is_header(cells):
            columns = tuple(_column(cell) for cell in cells)
        elif _is_remark(cells, columns):
            remarks.append(line.strip())
            lost += line.startswith(LOST)
        else:
            device = str(len(readings) + lost)
            cells_by_name = dict(_pair(tool, columns, cells, line_number, line))
            readings.append(_row(device, cells_by_name))
    if not readings:
        raise MonitorFormatError(" ".join([f"{tool} printed no device", *remarks][:4]))
    return Readings(readings, remarks)


def _is_remark(cells: list[str], columns: tuple[str, ...]) -> bool:
    """Whether a line is text: rows have commas, and begin with a UUID if that column was requested."""
    if len(cells) == 1 and len(columns) > 1:
        return True
    first = dict(zip(columns, cells, strict=False)).get("uuid")
    return first is not None and first.startswith(("WARNING", "Unable", "Failed", "No devices"))


def _is_header(cells: list[str]) -> bool:
    names = {_column(cell) for cell in cells}
    return len(names & set(COLUMNS)) > len(cells) // 2


def _column(cell: str) -> str:
    name = cell.split(" [", maxsplit=1)[0].strip()
    return _SYNONYMS.get(name, name)


def _pair(
    tool: str, columns: tuple[str, ...], cells: list[str], line_number: int, line: str
) -> list[tuple[str, str | float | int | None]]:
    if len(cells) != len(columns):
        why = f"expected {len(columns)} columns, found {len(cells)}"
        raise unknown(tool, line_number, line, why)
    try:
        return [(name, _value(name, cell)) for name, cell in zip(columns, cells, strict=True)]
    except ValueError:
        raise unknown(tool, line_number, line, "a figure is not a number") from None


def _value(name: str, cell: str) -> str | float | int | None:
    if name.startswith("memory."):
        return mebibytes(cell)
    if name in {"power.draw", "utilization.gpu", "temperature.gpu", "clocks.sm"}:
        return number(cell, "W", "%", "MHz", "C")
    return "" if is_absent(cell) else cell


def _row(device: str, cells: dict[str, str | float | int | None]) -> Reading:
    return Reading(
        device=str(cells.get("index", device)),
        name=str(cells.get("name", "")),
        uuid=str(cells.get("uuid", "")),
        driver_version=str(cells.get("driver_version", "")),
        memory_used_bytes=_whole(cells.get("memory.used")),
        memory_total_bytes=_whole(cells.get("memory.total")),
        power_w=_real(cells.get("power.draw")),
        temperature_c=_real(cells.get("temperature.gpu")),
        utilisation_percent=_real(cells.get("utilization.gpu")),
        clock_mhz=_real(cells.get("clocks.sm")),
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _real(value: object) -> float | None:
    return value if isinstance(value, float) else None
