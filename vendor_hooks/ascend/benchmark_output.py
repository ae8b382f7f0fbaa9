"""Figures from the files of Ascend's older tool, benchmark.x86_64.

It writes ``result/perf_vision_batchsize_<bs>_device_<id>.txt``, with one line per pipeline module:

    [e2e] throughputRate: 185.966, latency: 268866
    [infer] throughputRate: 186.579, Interface throughputRate: 263.872, moduleLatency: 4.71504

Rates are images per second for any batch size, except ``[post]``, which counts batches. The e2e
``latency`` is the duration of the whole run in ms. ``Interface throughputRate`` is 1000 ÷ the mean time
of one image within the model's execution: device time only, of ONE chip. The module names differ
between releases (``infer`` and ``inference``, ``post`` and ``postprocess``).
"""

import re
from typing import Dict, NamedTuple, Optional, Tuple

LINE = re.compile(r"^\[([a-z0-9 ]+)\] (.+)$")
FIELD = re.compile(r"^(throughputRate|Interface throughputRate|latency|moduleLatency): (\S+)$")
FILE_NAME = re.compile(r"perf_(?P<kind>[a-z]+)_batchsize_(?P<bs>\d+)_device_(?P<device>\d+)\.txt$")
MODULES = {
    "e2e": "e2e",
    "data read": "data_read",
    "preprocess": "preprocess",
    "infer": "infer",
    "inference": "infer",
    "post": "post",
    "postprocess": "post",
}


class BenchmarkFormatError(ValueError):
    """The text is not what benchmark.x86_64 writes; the message names the line."""


class BenchmarkSummary(NamedTuple):
    """One performance file; rates are images per second of one chip.

    ``items`` and ``wall_s`` are those of the whole run, from the e2e line: the tool prints six
    digits, so ``items`` is accurate to about 1 in 10⁵.
    """

    interface_rate: float
    infer_rate: float
    e2e_rate: float
    wall_s: float
    items: int
    module_rates: Dict[str, float]
    module_latency_ms: Dict[str, float]

    def card_rate(self, chips_per_card: int) -> float:
        """Images per second of a card whose chips each run their own copy (× 4 in the published tables)."""
        return self.interface_rate * chips_per_card


class FileName(NamedTuple):
    """The parts of a performance file's name."""

    kind: str
    batch_size: int
    device: int


def parse_file_name(name: str) -> FileName:
    """Read ``perf_vision_batchsize_16_device_1.txt``."""
    match = FILE_NAME.search(name)
    if not match:
        raise BenchmarkFormatError(
            "{!r} is not named perf_<kind>_batchsize_<bs>_device_<id>.txt".format(name)
        )
    return FileName(match.group("kind"), int(match.group("bs")), int(match.group("device")))


def parse(text: str) -> BenchmarkSummary:
    """Read one performance file; ``BenchmarkFormatError`` names an invalid line."""
    rows: Dict[str, Dict[str, float]] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        if raw.strip():
            module, fields = _row(number, raw.strip())
            rows[module] = fields
    _demand(rows, "e2e", "throughputRate", "latency")
    _demand(rows, "infer", "throughputRate", "Interface throughputRate", "moduleLatency")
    for module, name in (("infer", "Interface throughputRate"), ("e2e", "throughputRate")):
        if rows[module][name] == 0:
            raise BenchmarkFormatError(
                "the performance file of benchmark has a {} of 0 in its [{}] line: nothing was timed".format(
                    name, module
                )
            )
    wall_s = rows["e2e"]["latency"] / 1e3
    return BenchmarkSummary(
        interface_rate=rows["infer"]["Interface throughputRate"],
        infer_rate=rows["infer"]["throughputRate"],
        e2e_rate=rows["e2e"]["throughputRate"],
        wall_s=wall_s,
        items=round(rows["e2e"]["throughputRate"] * wall_s),
        module_rates={name: row["throughputRate"] for name, row in rows.items()},
        module_latency_ms={
            name: row["moduleLatency"] for name, row in rows.items() if "moduleLatency" in row
        },
    )


def _row(number: int, line: str) -> Tuple[str, Dict[str, float]]:
    match = LINE.match(line)
    if not match or match.group(1) not in MODULES:
        raise _refuse(number, "the tool has no module of this name", line)
    fields = {}
    for part in match.group(2).split(", "):
        field = FIELD.match(part)
        value = _float(field.group(2)) if field else None
        if field is None or value is None:
            raise _refuse(number, "cannot read {!r} in".format(part), line)
        fields[field.group(1)] = value
    if "throughputRate" not in fields:
        raise _refuse(number, "throughputRate is missing in", line)
    return MODULES[match.group(1)], fields


def _demand(rows: Dict[str, Dict[str, float]], module: str, *names: str) -> None:
    row = rows.get(module, {})
    missing = [name for name in names if name not in row]
    if missing:
        raise BenchmarkFormatError(
            "the performance file of benchmark has no {} in its [{}] line (lines found: {}). Did the "
            "tool finish?".format(", ".join(missing), module, ", ".join(sorted(rows)) or "none")
        )


def _float(text: str) -> Optional[float]:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def _refuse(number: int, why: str, line: str) -> BenchmarkFormatError:
    return BenchmarkFormatError(
        "the performance file of benchmark, line {}: {}: {!r}".format(number, why, line)
    )
