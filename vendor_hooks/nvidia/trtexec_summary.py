"""The performance summary of trtexec 8.0 and later: one line per figure, with its statistics."""

import re
from typing import Dict, List

from .trtexec_lines import Found, Line, TrtexecTiming, make_timing, milliseconds, number_of

STATISTIC = re.compile(r"^(min|max|mean|median|percentile\((\d+)%\)) = (\S+) (\S+)$")
TITLE = "=== Performance summary ==="
BLOCKS = {
    "Latency": "latency",
    "End-to-End Host Latency": "end_to_end",
    "Enqueue Time": "enqueue",
    "H2D Latency": "h2d",
    "GPU Compute Time": "compute",
    "D2H Latency": "d2h",
}
LABELS = set(BLOCKS) | {"Throughput", "Total Host Walltime", "Total GPU Compute Time"}


def read(lines: List[Line]) -> Found:
    """Read the figures after the title; log lines between them are skipped."""
    found = Found()
    start = [line.text for line in lines].index(TITLE) + 1
    for line in lines[start:]:
        if line.severity in ("W", "V") or (not line.text and not found.timings):
            continue
        if not line.text or line.text.startswith(("&&&&", "===", "Explanations")):
            break
        _summary_line(line, found)
    return found


def _summary_line(line: Line, found: Found) -> None:
    label, separator, value = line.text.partition(": ")
    if not separator or label not in LABELS:
        raise line.refuse("no known performance summary has this")
    if label == "Throughput":
        found.rate = (number_of(line, value, "qps"), line)
    elif label == "Total Host Walltime":
        found.wall_s = number_of(line, value, "s")
    elif label == "Total GPU Compute Time":
        found.compute_total_s = number_of(line, value, "s")
    else:
        found.timings[BLOCKS[label]] = _timing(line, value)


def _timing(line: Line, value: str) -> TrtexecTiming:
    plain: Dict[str, float] = {}
    percentiles: Dict[int, float] = {}
    for part in value.split(", "):
        match = STATISTIC.match(part)
        if not match:
            raise line.refuse("expected 'min = X ms, max = …', found {!r}".format(part))
        name, percent, number, unit = match.groups()
        if percent:
            percentiles[int(percent)] = milliseconds(line, number, unit)
        else:
            plain[name] = milliseconds(line, number, unit)
    return make_timing(line, plain, percentiles)
