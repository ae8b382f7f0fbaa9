"""Kunlunxin's ``xpu_smi``: the machine-readable rows of ``-m``, and the human-readable table.

The row has no header. Counted from 1: 1 PCI address, 3 device, 5 temperature (°C), 9 power,
10–15 clocks (MHz), 16/17 L3 used and total, 18/19 memory used and total (MiB), 20 use (%),
22 model in quotes. Power is in W; some releases for the K200 print mW, recognised by a value that no
card reaches in W. Intel ships an unrelated ``xpu-smi``.
"""

from __future__ import annotations

import re

from driver.monitors.reading import MonitorFormatError, Reading, mebibytes, number, unknown

COMMAND = ("xpu_smi", "-m")
_ADDRESS = re.compile(r"^[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-9a-fA-F]$")
_TOKEN = re.compile(r'"[^"]*"|\S+')
_ROW_MINIMUM = 20
_NO_CARD_DRAWS_W = 2000.0
_TABLE = {
    "memory": "Memory",
    "power": "Power(W)",
    "temperature": "Temp",
    "use": "UseRate",
    "clock": "Freq(MHz)",
    "model": "Model",
}


def parse(text: str) -> tuple[Reading, ...]:
    """Read the rows of ``-m``, or the table if there is a header with ``DevID``."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if any("DevID" in line for _, line in lines):
        readings = _table(lines)
    else:
        readings = [_row(n, line) for n, line in lines]
    if not readings:
        raise MonitorFormatError("xpu_smi printed no device")
    return tuple(readings)


def _row(line_number: int, line: str) -> Reading:
    tokens = _TOKEN.findall(line)
    if len(tokens) < _ROW_MINIMUM or not _ADDRESS.match(tokens[0]):
        raise unknown("xpu_smi -m", line_number, line, "not a row of at least 20 columns")
    try:
        return Reading(
            device=tokens[2],
            name=tokens[21].strip('"') if len(tokens) > 21 else "",
            uuid=tokens[3],
            temperature_c=number(tokens[4]),
            power_w=_watts(tokens[8]),
            clock_mhz=number(tokens[9]),
            memory_used_bytes=mebibytes(tokens[17]),
            memory_total_bytes=mebibytes(tokens[18]),
            utilisation_percent=number(tokens[19], "%"),
        )
    except ValueError:
        raise unknown("xpu_smi -m", line_number, line, "a figure is not a number") from None


def _watts(text: str) -> float | None:
    value = number(text, "W")
    return value / 1e3 if value is not None and value > _NO_CARD_DRAWS_W else value


def _table(lines: list[tuple[int, str]]) -> list[Reading]:
    start = next(i for i, (_, line) in enumerate(lines) if "DevID" in line)
    header = _cells(lines[start][1])
    missing = [title for title in _TABLE.values() if title not in header]
    if missing:
        why = f"the header has no {', '.join(missing)}"
        raise unknown("xpu_smi", *lines[start], why)
    readings = []
    for line_number, line in lines[start + 1 :]:
        cells = _cells(line)
        if len(cells) == len(header) and cells[0].isdigit():
            readings.append(_table_row(line_number, line, dict(zip(header, cells, strict=True))))
        elif "process" in line.lower():
            break
        elif "|" in line and set(line) - set("|+-= "):
            raise unknown("xpu_smi", line_number, line, "the row does not fit the header")
    return readings


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _table_row(line_number: int, line: str, cells: dict[str, str]) -> Reading:
    try:
        used, total = cells[_TABLE["memory"]].split("/")
        return Reading(
            device=cells["DevID"],
            name=cells[_TABLE["model"]],
            memory_used_bytes=mebibytes(used),
            memory_total_bytes=mebibytes(total),
            power_w=_watts(cells[_TABLE["power"]]),
            temperature_c=number(cells[_TABLE["temperature"]], "C"),
            utilisation_percent=number(cells[_TABLE["use"]], "%"),
            clock_mhz=number(cells[_TABLE["clock"]], "MHz"),
        )
    except ValueError:
        raise unknown("xpu_smi", line_number, line, "a figure is not a number") from None
