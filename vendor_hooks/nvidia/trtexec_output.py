"""Figures out of what trtexec prints, in its three generations.

- ``7.x``: blocks ``Host Latency``, ``Enqueue Time``, ``GPU Compute``; no performance summary.
- ``8.0-8.2``: ``=== Performance summary ===`` with ``End-to-End Host Latency``.
- ``8.4+``: the summary without it, with three percentiles since 8.5.

Two traps, both seen in published logs. With an explicit batch (every ONNX file) one query is one
whole batch, so the printed rate has to be multiplied by the batch size; with the implicit batch of
Caffe and UFF models (``--batch=N``) it already counts items. And 7.x counts the queries of an
explicit-batch engine as zero ("throughput: 0 qps"); their number is then total compute time ÷ mean
compute time, which is how that release makes the total.
"""

import json
import re
from typing import Dict, List, NamedTuple, Optional, Tuple

PREFIX = re.compile(r"^(?:\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] )?(?:\[([VIWEF])\] ?)?(.*)$")
BANNER = re.compile(
    r"^&&&& (RUNNING|PASSED|FAILED) TensorRT\.trtexec(?: \[TensorRT v(\d+)\])? # (.*)$"
)
STATISTIC = re.compile(r"^(min|max|mean|median|percentile\((\d+)%\)) = (\S+) (\S+)$")
OLD_STATISTIC = re.compile(
    r"^(min|max|mean|median|percentile): (\S+) (\S+?)(?: at (\d+)%)?"
    r"(?: \(end to end (\S+) (\S+?)(?: at \d+%)?\))?$"
)
SUMMARY_TITLE = "=== Performance summary ==="
TO_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
BLOCKS = {
    "Latency": "latency",
    "End-to-End Host Latency": "end_to_end",
    "Enqueue Time": "enqueue",
    "H2D Latency": "h2d",
    "GPU Compute Time": "compute",
    "D2H Latency": "d2h",
}
SUMMARY_LABELS = set(BLOCKS) | {"Throughput", "Total Host Walltime", "Total GPU Compute Time"}
OLD_BLOCKS = {"Host Latency": "latency", "Enqueue Time": "enqueue", "GPU Compute": "compute"}


class TrtexecFormatError(ValueError):
    """The text is not what a known trtexec prints; the message names the line."""


class Timing(NamedTuple):
    """One statistic of trtexec, milliseconds; ``percentiles`` maps 99 to its value."""

    min_ms: float
    max_ms: float
    mean_ms: Optional[float]
    median_ms: float
    percentiles_ms: Dict[int, float]


class TrtexecSummary(NamedTuple):
    """What one run of trtexec said. ``passed`` is None when the closing line is not there."""

    generation: str
    version: Optional[str]
    passed: Optional[bool]
    command: str
    throughput_qps: float
    throughput_source: str
    implicit_batch: Optional[int]
    queries: Optional[int]
    wall_s: Optional[float]
    timings: Dict[str, Timing]
    warnings: Tuple[str, ...]

    def items_per_second(self, batch_size: int) -> float:
        """Items a second of a model whose batch axis is ``batch_size``."""
        if self.implicit_batch is not None:
            return self.throughput_qps
        return self.throughput_qps * batch_size


class _Line(NamedTuple):
    number: int
    severity: str
    text: str

    def refuse(self, why: str) -> TrtexecFormatError:
        return TrtexecFormatError(
            "trtexec output, line {}: {}: {!r}. Known are the formats of 7.x, 8.0-8.2 and 8.4 on; "
            "keep the log and report it.".format(self.number, why, self.text)
        )


class _Found:
    """What the reader has collected so far."""

    def __init__(self) -> None:
        self.rate: Optional[Tuple[float, _Line]] = None
        self.wall_s: Optional[float] = None
        self.compute_total_s: Optional[float] = None
        self.timings: Dict[str, Timing] = {}


def parse(text: str) -> TrtexecSummary:
    """Read a log (whole, or the performance part alone); ``TrtexecFormatError`` when it is unknown."""
    lines = _split(text)
    version, passed, command = _banner(lines)
    old = any(line.text == "Host Latency" for line in lines)
    if any(line.text == SUMMARY_TITLE for line in lines):
        found = _read_summary(lines)
        generation = "8.0-8.2" if "end_to_end" in found.timings else "8.4+"
    elif old:
        found, generation = _read_old(lines), "7.x"
    else:
        raise _nothing(lines, passed)
    if found.rate is None or "latency" not in found.timings:
        raise lines[-1].refuse("the performance figures end without throughput and latency, at")
    qps, source = _rate(found)
    queries = round(qps * found.wall_s) if found.wall_s else None
    warnings = tuple(line.text for line in lines if line.severity == "W")
    return TrtexecSummary(
        generation, version, passed, command, qps, source, _implicit_batch(command), queries,
        found.wall_s, found.timings, warnings,
    )  # fmt: skip


def parse_times(text: str) -> List[Dict[str, int]]:
    """Read the JSON list of ``--exportTimes``: one dict a query, its ``…Ms`` keys as ``…_ns``."""
    try:
        rows = json.loads(text)
        return [{key[:-2] + "_ns": round(row[key] * 1e6) for key in row if key.endswith("Ms")}
                for row in rows]  # fmt: skip
    except (ValueError, TypeError, AttributeError) as error:
        raise TrtexecFormatError(
            "trtexec --exportTimes: not a list of queries with times in ms: {} in {!r}".format(
                error, text[:80]
            )
        ) from None


def errors(text: str) -> List[str]:
    """Return the telling lines of a failed run: what was logged as an error, without dates."""
    return [line.text for line in _split(text) if line.severity in ("E", "F") and line.text]


def _split(text: str) -> List[_Line]:
    lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        match = PREFIX.match(raw.rstrip())
        severity, rest = match.groups() if match else ("", raw)
        lines.append(_Line(number, severity or "", rest.strip()))
    if not lines:
        raise TrtexecFormatError("trtexec output, line 1: there is none. Did trtexec start at all?")
    return lines


def _banner(lines: List[_Line]) -> Tuple[Optional[str], Optional[bool], str]:
    version, passed, command = None, None, ""
    for line in lines:
        match = BANNER.match(line.text)
        if match:
            state, digits, command = match.groups()
            version = _version(digits) if digits else version
            passed = passed if state == "RUNNING" else state == "PASSED"
    return version, passed, command


def _version(digits: str) -> str:
    """8501 is 8.5.1; from 10 on two digits each: 100300 is 10.3.0."""
    if len(digits) == 4:
        return "{}.{}.{}".format(digits[0], digits[1], int(digits[2:]))
    return "{}.{}.{}".format(int(digits[:-4]), int(digits[-4:-2]), int(digits[-2:]))


def _implicit_batch(command: str) -> Optional[int]:
    match = re.search(r"--batch=(\d+)", command)
    return int(match.group(1)) if match and "--onnx" not in command else None


def _read_summary(lines: List[_Line]) -> _Found:
    found = _Found()
    start = [line.text for line in lines].index(SUMMARY_TITLE) + 1
    for line in lines[start:]:
        if line.severity in ("W", "V") or (not line.text and not found.timings):
            continue
        if not line.text or line.text.startswith(("&&&&", "===", "Explanations")):
            break
        _summary_line(line, found)
    return found


def _summary_line(line: _Line, found: _Found) -> None:
    label, separator, value = line.text.partition(": ")
    if not separator or label not in SUMMARY_LABELS:
        raise line.refuse("no version's performance summary has this")
    if label == "Throughput":
        found.rate = (_number(line, value, "qps"), line)
    elif label == "Total Host Walltime":
        found.wall_s = _number(line, value, "s")
    elif label == "Total GPU Compute Time":
        found.compute_total_s = _number(line, value, "s")
    else:
        found.timings[BLOCKS[label]] = _timing(line, value)


def _timing(line: _Line, value: str) -> Timing:
    plain: Dict[str, float] = {}
    percentiles: Dict[int, float] = {}
    for part in value.split(", "):
        match = STATISTIC.match(part)
        if not match:
            raise line.refuse("expected 'min = X ms, max = …', found {!r}".format(part))
        name, percent, number, unit = match.groups()
        if percent:
            percentiles[int(percent)] = _milliseconds(line, number, unit)
        else:
            plain[name] = _milliseconds(line, number, unit)
    return _make_timing(line, plain, percentiles)


def _make_timing(line: _Line, plain: Dict[str, float], percentiles: Dict[int, float]) -> Timing:
    missing = [name for name in ("min", "max", "median") if name not in plain]
    if missing:
        raise line.refuse("there is no {} in".format(", ".join(missing)))
    return Timing(plain["min"], plain["max"], plain.get("mean"), plain["median"], percentiles)


def _read_old(lines: List[_Line]) -> _Found:
    """7.x: a title line, then one statistic a line until the next title or the closing line."""
    found = _Found()
    title: Optional[_Line] = None
    block: Dict[str, Dict[str, float]] = {}
    start = [line.text for line in lines].index("Host Latency")
    for line in lines[start:]:
        if line.text in OLD_BLOCKS or line.text.startswith("&&&&") or not line.text:
            _close_old(title, block, found)
            title, block = (line, {}) if line.text in OLD_BLOCKS else (None, {})
        elif title is not None and line.severity not in ("W", "V"):
            _old_line(line, block, found)
    _close_old(title, block, found)
    return found


def _old_line(line: _Line, block: Dict[str, Dict[str, float]], found: _Found) -> None:
    label, _, value = line.text.partition(": ")
    if label == "throughput":
        found.rate = (_number(line, value, "qps"), line)
    elif label == "walltime":
        found.wall_s = _number(line, value, "s")
    elif label == "total compute time":
        found.compute_total_s = _number(line, value, "s")
    else:
        match = OLD_STATISTIC.match(line.text)
        if not match:
            raise line.refuse("no line of a 7.x block looks like this")
        name, number, unit, percent, whole, whole_unit = match.groups()
        key = percent if name == "percentile" else name
        block.setdefault("own", {})[key] = _milliseconds(line, number, unit)
        if whole:
            block.setdefault("whole", {})[key] = _milliseconds(line, whole, whole_unit)


def _close_old(title: Optional[_Line], block: Dict[str, Dict[str, float]], found: _Found) -> None:
    if title is None:
        return
    for key, name in (("own", OLD_BLOCKS[title.text]), ("whole", "end_to_end")):
        values = block.get(key)
        if key == "own" or values:
            values = values or {}
            percentiles = {int(k): v for k, v in values.items() if k.isdigit()}
            found.timings[name] = _make_timing(title, values, percentiles)


def _rate(found: _Found) -> Tuple[float, str]:
    assert found.rate is not None
    printed, line = found.rate
    if printed > 0:
        return printed, "printed"
    compute = found.timings.get("compute")
    if not (found.compute_total_s and found.wall_s and compute and compute.mean_ms):
        raise line.refuse(
            "the rate is 0, as 7.x prints for an explicit batch, and wall time, total and mean "
            "compute time, from which it follows, are not all there"
        )
    return round(found.compute_total_s * 1e3 / compute.mean_ms) / found.wall_s, "derived"


def _milliseconds(line: _Line, number: str, unit: str) -> float:
    if unit not in TO_MS:
        raise line.refuse("{!r} is no unit of time".format(unit))
    return _float(line, number) * TO_MS[unit]


def _number(line: _Line, value: str, unit: str) -> float:
    number, _, printed = value.partition(" ")
    if printed != unit:
        raise line.refuse("expected a number in {}, found {!r}".format(unit, value))
    return _float(line, number)


def _float(line: _Line, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise line.refuse("{!r} is not a number".format(number)) from None


def _nothing(lines: List[_Line], passed: Optional[bool]) -> TrtexecFormatError:
    told = [line for line in lines if line.severity in ("E", "F") and line.text]
    if passed is False and told:
        return told[0].refuse("trtexec failed; its first error")
    last = [line for line in lines if line.text] or lines
    return last[-1].refuse("no performance figures anywhere; the last line is")
