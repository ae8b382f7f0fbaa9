"""The blocks of trtexec 7.x: a title line, then one statistic per line."""

import re
from typing import Dict, List, Optional

from .trtexec_lines import Found, Line, make_timing, milliseconds, number_of

STATISTIC = re.compile(
    r"^(min|max|mean|median|percentile): (\S+) (\S+?)(?: at (\d+)%)?"
    r"(?: \(end to end (\S+) (\S+?)(?: at \d+%)?\))?$"
)
BLOCKS = {"Host Latency": "latency", "Enqueue Time": "enqueue", "GPU Compute": "compute"}
FIRST_BLOCK = "Host Latency"


def read(lines: List[Line]) -> Found:
    """Read the blocks: a title line, then one statistic per line until the next title or the last line."""
    found = Found()
    title: Optional[Line] = None
    block: Dict[str, Dict[str, float]] = {}
    start = [line.text for line in lines].index(FIRST_BLOCK)
    for line in lines[start:]:
        if line.text in BLOCKS or line.text.startswith("&&&&") or not line.text:
            _close_old(title, block, found)
            title, block = (line, {}) if line.text in BLOCKS else (None, {})
        elif title is not None and line.severity not in ("W", "V"):
            _old_line(line, block, found)
    _close_old(title, block, found)
    return found


def _old_line(line: Line, block: Dict[str, Dict[str, float]], found: Found) -> None:
    label, _, value = line.text.partition(": ")
    if label == "throughput":
        found.rate = (number_of(line, value, "qps"), line)
    elif label == "walltime":
        found.wall_s = number_of(line, value, "s")
    elif label == "total compute time":
        found.compute_total_s = number_of(line, value, "s")
    else:
        match = STATISTIC.match(line.text)
        if not match:
            raise line.refuse("this is not a line of a 7.x block")
        name, number, unit, percent, whole, whole_unit = match.groups()
        key = percent if name == "percentile" else name
        block.setdefault("own", {})[key] = milliseconds(line, number, unit)
        if whole:
            block.setdefault("whole", {})[key] = milliseconds(line, whole, whole_unit)


def _close_old(title: Optional[Line], block: Dict[str, Dict[str, float]], found: Found) -> None:
    if title is None:
        return
    for key, name in (("own", BLOCKS[title.text]), ("whole", "end_to_end")):
        values = block.get(key)
        if key == "own" or values:
            values = values or {}
            percentiles = {int(k): v for k, v in values.items() if k.isdigit()}
            found.timings[name] = make_timing(title, values, percentiles)
