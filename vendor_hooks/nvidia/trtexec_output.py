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

from . import trtexec_blocks, trtexec_summary
from .trtexec_lines import Found, Line, Timing, TrtexecFormatError

PREFIX = re.compile(r"^(?:\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] )?(?:\[([VIWEF])\] ?)?(.*)$")
BANNER = re.compile(
    r"^&&&& (RUNNING|PASSED|FAILED) TensorRT\.trtexec(?: \[TensorRT v(\d+)\])? # (.*)$"
)

# What every query of --exportTimes is read for, and how 7.x calls its copies.
TIMES = ("startCompute_ns", "h2d_ns", "compute_ns", "d2h_ns", "latency_ns")
OLD_NAMES = {"in": "h2d", "out": "d2h"}


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


def parse(text: str) -> TrtexecSummary:
    """Read a log (whole, or the performance part alone); ``TrtexecFormatError`` when it is unknown."""
    lines = _split(text)
    version, passed, command = _banner(lines)
    old = any(line.text == trtexec_blocks.FIRST_BLOCK for line in lines)
    if any(line.text == trtexec_summary.TITLE for line in lines):
        found = trtexec_summary.read(lines)
        generation = "8.0-8.2" if "end_to_end" in found.timings else "8.4+"
    elif old:
        found, generation = trtexec_blocks.read(lines), "7.x"
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
    """Read the JSON list of ``--exportTimes``: one dict a query, its ``…Ms`` keys as ``…_ns``.

    Every release's copies are ``h2d_ns`` and ``d2h_ns``. 7.x writes the start and end of the copy in
    and of the enqueueing under each other's names: take neither.
    """
    try:
        rows = [
            {_name(key): round(row[key] * 1e6) for key in row if key.endswith("Ms")}
            for row in json.loads(text)
        ]
    except (ValueError, TypeError, AttributeError) as error:
        raise TrtexecFormatError(
            "trtexec --exportTimes: not a list of queries with times in ms: {} in {!r}".format(
                error, text[:80]
            )
        ) from None
    missing = sorted(name for name in TIMES if any(name not in row for row in rows))
    if missing:
        raise TrtexecFormatError(
            "trtexec --exportTimes: no query's {} in {!r}".format(", ".join(missing), text[:80])
        )
    return rows


def counted(
    rows: List[Dict[str, int]], warm_up_ms: int, summary: TrtexecSummary
) -> List[Dict[str, int]]:
    """Return the queries of ``parse_times`` that the summary is of, by trtexec's own rule.

    It counts from the first query whose compute begins after the warm-up (sampleReporting.cpp). Before
    8.5 the file has the warm-up too; 7.x prints no number of queries, so the rows are what is exact.
    """
    first = next((n for n, row in enumerate(rows) if row["startCompute_ns"] >= warm_up_ms * 1e6), 0)
    found = rows[first:]
    told = summary.queries
    if told is None or abs(len(found) - told) > max(2, told // 100):
        raise TrtexecFormatError(
            "trtexec --exportTimes has {} queries after a warm-up of {} ms, the summary is of {}".format(
                len(found), warm_up_ms, told
            )
        )
    return found


def _name(key: str) -> str:
    name = key[:-2]
    return OLD_NAMES.get(name, name) + "_ns"


def errors(text: str) -> List[str]:
    """Return the telling lines of a failed run: what was logged as an error, without dates."""
    return [line.text for line in _split(text) if line.severity in ("E", "F") and line.text]


def _split(text: str) -> List[Line]:
    lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        match = PREFIX.match(raw.rstrip())
        severity, rest = match.groups() if match else ("", raw)
        lines.append(Line(number, severity or "", rest.strip()))
    if not lines:
        raise TrtexecFormatError("trtexec output, line 1: there is none. Did trtexec start at all?")
    return lines


def _banner(lines: List[Line]) -> Tuple[Optional[str], Optional[bool], str]:
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


def _rate(found: Found) -> Tuple[float, str]:
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


def _nothing(lines: List[Line], passed: Optional[bool]) -> TrtexecFormatError:
    told = [line for line in lines if line.severity in ("E", "F") and line.text]
    if passed is False and told:
        return told[0].refuse("trtexec failed; its first error")
    last = [line for line in lines if line.text] or lines
    return last[-1].refuse("no performance figures anywhere; the last line is")
