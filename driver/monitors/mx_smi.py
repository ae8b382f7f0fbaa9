"""MetaX's ``mx-smi``: a table with two lines a device.

Three layouts are known, none with a clock:

- 2.1: ``GPU NAME`` above ``Temp Power``, as ``31C 44W`` or ``39C 88W / NA``;
- 2.2: the same with ``Pwr:Usage/Cap``, as ``45C 48W / 350W``, and a state in the last cell;
- from 2.2.9: ``Board Name | GPU Persist-M`` above ``Pwr:Usage/Cap | Temp Perf``. Index and
  temperature have cells of their own; the index that MACA_VISIBLE_DEVICES takes is that of the GPU.
"""

from __future__ import annotations

import re

from driver.monitors.reading import MonitorFormatError, Reading, mebibytes, unknown

COMMAND = ("mx-smi",)
_DRIVER = re.compile(r"Kernel Mode Driver Version: (\S+)")
_UPPER = re.compile(
    r"^\|\s*(?P<device>\d+)\s+(?P<name>\S.*?)\s*\|\s*(?P<bus>[0-9a-fA-F:.]+)\s*"
    r"\|\s*(?P<use>\d+|N/A)\s*%?\s*\|$"
)
_LOWER = re.compile(
    r"^\|\s*(?P<temperature>\d+|N/?A)\s*C?\s+(?P<power>[\d.]+|N/?A)\s*W?"
    r"(?:\s*/\s*(?:[\d.]+\s*W|N/?A))?\s*"
    r"\|\s*(?P<used>\d+)\s*/\s*(?P<total>\d+)\s*MiB\s*\|.*\|$"
)
_BOARD_UPPER = re.compile(
    r"^\|\s*\d+\s+(?P<name>\S.*?)\s*\|\s*(?P<device>\d+)\s+\S+\s*\|\s*(?P<bus>[0-9a-fA-F:.]+)\s*"
    r"\|\s*(?P<use>\d+|N/?A)\s*%?(?:\s+\S+)?\s*\|$"
)
_BOARD_LOWER = re.compile(
    r"^\|\s*(?P<power>[\d.]+|N/?A)\s*W?\s*/\s*(?:[\d.]+\s*W|N/?A)\s*"
    r"\|\s*(?P<temperature>\d+|N/?A)\s*C?(?:\s+\S+)?\s*"
    r"\|\s*(?P<used>\d+)\s*/\s*(?P<total>\d+)\s*MiB\s*\|.*\|$"
)
LAYOUTS = ((_UPPER, _LOWER), (_BOARD_UPPER, _BOARD_LOWER))
"""The two lines of a device, by layout: three cells, then four."""


def parse(text: str) -> tuple[Reading, ...]:
    """Read every device of the first table; the process table after it is ignored."""
    if "MX-SMI" not in text:
        raise MonitorFormatError(f"mx-smi printed no device table: {text.strip()[:160]!r}")
    driver = _DRIVER.search(text)
    upper: re.Match[str] | None = None
    readings: list[Reading] = []
    body = False
    for line_number, line in enumerate((raw.strip() for raw in text.splitlines()), 1):
        body = body or line.startswith("|==")
        if "Process" in line:
            break
        if not body or not line.startswith("|") or line.startswith(("|=", "|-")):
            continue
        match = LAYOUTS[line.count("|") > 4][upper is not None].match(line)
        if match is None:
            raise unknown("mx-smi", line_number, line, "no version's table has this line")
        if upper is None:
            upper = match
            continue
        readings.append(_device(upper, match, driver.group(1) if driver else ""))
        upper = None
    if not readings or upper is not None:
        raise MonitorFormatError(
            "mx-smi: a device's second line is missing at the end of the table"
        )
    return tuple(readings)


def _device(upper: re.Match[str], lower: re.Match[str], driver_version: str) -> Reading:
    return Reading(
        device=upper["device"],
        name=upper["name"],
        uuid=upper["bus"],
        driver_version=driver_version,
        memory_used_bytes=mebibytes(lower["used"]),
        memory_total_bytes=mebibytes(lower["total"]),
        power_w=_figure(lower["power"]),
        temperature_c=_figure(lower["temperature"]),
        utilisation_percent=_figure(upper["use"]),
    )


def _figure(text: str) -> float | None:
    return None if text in ("N/A", "NA") else float(text)
