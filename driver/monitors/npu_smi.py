"""``npu-smi info``: a table with two lines per chip; later releases have more columns.

- 21.0.x on Ascend 310: ``Power(W) Temp(C)``, then ``AICore(%) Memory-Usage(MB)``.
- 22.x and later on 310P: ``Hugepages-Usage(page)`` after the temperature.
- with HBM (910): ``HBM-Usage(MB)`` after the memory; models are in HBM.
- 26.x: the same columns, wider apart, and a further one in the table of processes.

A 310P with two chips on a card numbers cards and chips; Atlas A3 (``Ascend910``) has ``Phy-ID`` and no power for
its second chip. A memory of ``0 / 0`` is one that the chip does not have.

Some tables have ``Device`` or ``Phy-ID`` beside ``Chip`` in the second line: this is the runtime's
number of the chip. Without it, the NPU's number is.
"""

from __future__ import annotations

import re

from driver.monitors.reading import MIB, MonitorFormatError, Reading, number, unknown

COMMAND = ("npu-smi", "info")
_TITLE = re.compile(r"npu-smi (\S+) +Version: (\S+)")
_Row = tuple[int, str, list[str]]
_USAGE = re.compile(r"(\d+) */ *(\d+)")


def parse(text: str) -> tuple[Reading, ...]:
    """Read every chip of the first table; the process table after it is ignored."""
    version = ""
    headers: list[_Row] = []
    rows: list[_Row] = []
    for line_number, line in enumerate(text.splitlines(), 1):
        title = _TITLE.search(line)
        if title:
            version = title.group(2)
            continue
        if "Process id" in line:
            break
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.strip().startswith("|") or len(cells) != 3:
            continue
        (headers if len(headers) < 2 else rows).append((line_number, line, cells))
    _check_headers(headers)
    if not rows or len(rows) % 2:
        raise MonitorFormatError(f"npu-smi: expected two lines per chip, found {len(rows)} lines")
    has_device = "Device" in headers[1][1] or "Phy-ID" in headers[1][1]
    has_hbm = "HBM" in headers[1][1]
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return tuple(_chip(upper, lower, has_device, has_hbm, version) for upper, lower in pairs)


def _check_headers(headers: list[_Row]) -> None:
    expected = (("Name", "Health", "Power(W)", "Temp(C)"), ("Chip", "Bus-Id", "AICore(%)"))
    if len(headers) < 2:
        raise MonitorFormatError("npu-smi printed no table with Power(W) and AICore(%)")
    for (line_number, line, _), words in zip(headers, expected, strict=True):
        missing = [word for word in words if word not in line]
        if missing:
            why = f"the header has no {', '.join(missing)}"
            raise unknown("npu-smi", line_number, line, why)


def _chip(upper: _Row, lower: _Row, has_device: bool, has_hbm: bool, version: str) -> Reading:
    npu, name = _split(upper, upper[2][0])
    power, temperature = _split(upper, upper[2][2])
    ids = lower[2][0].split()
    usages = _USAGE.findall(lower[2][2])
    if not ids or len(usages) < (2 if has_hbm else 1):
        raise unknown("npu-smi", lower[0], lower[1], "no chip and memory usage in")
    used, total = usages[1] if has_hbm and int(usages[1][1]) else usages[0]
    known = int(total) > 0
    device = ids[1] if has_device and len(ids) > 1 and ids[1].isdigit() else npu
    return Reading(
        device=device,
        name=name,
        driver_version=version,
        memory_used_bytes=int(used) * MIB if known else None,
        memory_total_bytes=int(total) * MIB if known else None,
        power_w=_figure(upper, power),
        temperature_c=_figure(upper, temperature),
        utilisation_percent=_figure(lower, lower[2][2].split()[0]),
    )


def _split(row: _Row, cell: str) -> tuple[str, str]:
    words = cell.split()
    if len(words) < 2:
        raise unknown("npu-smi", row[0], row[1], f"expected two values in {cell!r}")
    return words[0], " ".join(words[1:]) if words[1].isalpha() else words[1]


def _figure(row: _Row, text: str) -> float | None:
    try:
        return number(text)
    except ValueError:
        raise unknown("npu-smi", row[0], row[1], f"{text!r} is not a number") from None
