"""Figures from trtexec's output, in its three generations.

- ``7.x``: blocks ``Host Latency``, ``Enqueue Time``, ``GPU Compute``; no performance summary.
- ``8.0-8.2``: ``=== Performance summary ===`` with ``End-to-End Host Latency``.
- ``8.4+``: the summary without it, with three percentiles since 8.5.

The banner has the version, except in 7.x; from 10.4 a build number follows. Any other banner is refused.

Two traps, both found in published logs. With an explicit batch (every ONNX file), one query is one
whole batch, so the printed rate must be multiplied by the batch size; with the implicit batch of Caffe
and UFF models (``--batch=N``), it already counts items. And 7.x reports zero queries for an
explicit-batch engine ("throughput: 0 qps"); their number is then total compute time ÷ mean compute
time, since that release computes the total from the mean.
"""

import json
import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from . import trtexec_blocks, trtexec_summary
from .trtexec_lines import Found, Line, TrtexecFormatError, TrtexecTiming

PREFIX = re.compile(r"^(?:\[\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d\] )?(?:\[([VIWEF])\] ?)?(.*)$")
BANNER_START = "&&&&"
BANNER = re.compile(
    r"^&&&& (RUNNING|PASSED|FAILED) TensorRT\.trtexec"
    r"(?: \[TensorRT v(\d{4}|\d{6})\](?: \[b\d+\])?)? # (.*)$"
)
#: The first release with the format of each generation, newest first.
GENERATIONS = (((8, 3), "8.4+"), ((8, 0), "8.0-8.2"))
OLDEST = "7.x"

# The times that each query of --exportTimes must have, and the names of copies in 7.x.
TIMES = ("startCompute_ns", "h2d_ns", "compute_ns", "d2h_ns", "latency_ns")
OLD_NAMES = {"in": "h2d", "out": "d2h"}


class Banner(NamedTuple):
    """A first or last line of trtexec; ``version`` is (10, 13, 0), None for 7.x, which prints none."""

    state: str
    version: Optional[Tuple[int, int, int]]
    command: str


class TrtexecSummary(NamedTuple):
    """The output of one run of trtexec. ``passed`` is None if the last line is missing."""

    generation: str
    version: Optional[str]
    passed: Optional[bool]
    command: str
    throughput_qps: float
    throughput_source: str
    implicit_batch: Optional[int]
    queries: Optional[int]
    wall_s: Optional[float]
    timings: Dict[str, TrtexecTiming]
    warnings: Tuple[str, ...]

    def items_per_second(self, batch_size: int) -> float:
        """Items per second of a model whose batch size is ``batch_size``."""
        if self.implicit_batch is not None:
            return self.throughput_qps
        return self.throughput_qps * batch_size


def parse(text: str) -> TrtexecSummary:
    """Read a log (all of it, or only the performance part); ``TrtexecFormatError`` for an unknown one."""
    lines = _split(text)
    banner, passed = _banner(lines)
    command = banner.command if banner else ""
    old = any(line.text == trtexec_blocks.FIRST_BLOCK for line in lines)
    if any(line.text == trtexec_summary.TITLE for line in lines):
        found = trtexec_summary.read(lines)
        generation = "8.0-8.2" if "end_to_end" in found.timings else "8.4+"
    elif old:
        found, generation = trtexec_blocks.read(lines), OLDEST
    else:
        raise _nothing(lines, passed)
    if banner and generation != _generation(banner.version):
        raise lines[0].refuse(
            "the figures are in the format of {}, and the banner names a release of {}".format(
                generation, _generation(banner.version)
            )
        )
    if found.rate is None or "latency" not in found.timings:
        raise lines[-1].refuse("the performance figures end without throughput and latency, at")
    qps, source = _rate(found)
    queries = round(qps * found.wall_s) if found.wall_s else None
    warnings = tuple(line.text for line in lines if line.severity == "W")
    return TrtexecSummary(
        generation, banner and text_of(banner.version), passed, command, qps, source,
        _implicit_batch(command), queries, found.wall_s, found.timings, warnings,
    )  # fmt: skip


def parse_times(text: str) -> List[Dict[str, int]]:
    """Read the JSON list of ``--exportTimes``: one dict per query, with ``…Ms`` keys as ``…_ns``.

    Copies are ``h2d_ns`` and ``d2h_ns`` for every release. 7.x swaps the names of start and end of the
    copy in with those of the enqueueing: use neither.
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
            "trtexec --exportTimes: {} is missing in {!r}".format(", ".join(missing), text[:80])
        )
    return rows


def counted(
    rows: List[Dict[str, int]], warm_up_ms: int, summary: TrtexecSummary
) -> List[Dict[str, int]]:
    """Return the queries of ``parse_times`` that the summary covers, by trtexec's own rule.

    It counts from the first query whose compute begins after the warm-up (sampleReporting.cpp). Before
    8.5 the file includes the warm-up; 7.x prints no number of queries, so only the rows are exact.
    """
    first = next((n for n, row in enumerate(rows) if row["startCompute_ns"] >= warm_up_ms * 1e6), 0)
    found = rows[first:]
    printed = summary.queries
    if printed is None or abs(len(found) - printed) > max(2, printed // 100):
        raise TrtexecFormatError(
            "trtexec --exportTimes has {} queries after a warm-up of {} ms, but the summary has {}".format(
                len(found), warm_up_ms, printed
            )
        )
    return found


def _name(key: str) -> str:
    name = key[:-2]
    return OLD_NAMES.get(name, name) + "_ns"


def errors(text: str) -> List[str]:
    """Return the error lines of a failed run, without dates."""
    return [line.text for line in _split(text) if line.severity in ("E", "F") and line.text]


def _split(text: str) -> List[Line]:
    lines = []
    for number, raw in enumerate(text.splitlines(), 1):
        match = PREFIX.match(raw.rstrip())
        severity, rest = match.groups() if match else ("", raw)
        lines.append(Line(number, severity or "", rest.strip()))
    if not lines:
        raise TrtexecFormatError("the output of trtexec is empty. Did trtexec start at all?")
    return lines


def read_banner(text: str) -> Banner:
    """Return the first banner of a log; ``TrtexecFormatError`` if it has none, or an unknown one."""
    lines = _split(text)
    banner, _ = _banner(lines)
    if banner is None:
        raise lines[0].refuse("no line is a banner (&&&& RUNNING TensorRT.trtexec …); the first is")
    return banner


def text_of(version: Optional[Tuple[int, int, int]]) -> Optional[str]:
    """Return the version as "10.13.0"; None for 7.x."""
    return version and ".".join(str(number) for number in version)


def _banner(lines: List[Line]) -> Tuple[Optional[Banner], Optional[bool]]:
    """Return (the first banner, whether the run passed); None for what is not there."""
    first, passed = None, None
    for line in lines:
        if not line.text.startswith(BANNER_START):
            continue
        match = BANNER.match(line.text)
        if not match:
            raise line.refuse("this banner is of no known release")
        state, digits, command = match.groups()
        first = first or Banner(state, _version(digits) if digits else None, command)
        passed = passed if state == "RUNNING" else state == "PASSED"
    return first, passed


def _version(digits: str) -> Tuple[int, int, int]:
    """8501 is 8.5.1; from 10 on two digits each: 100300 is 10.3.0."""
    minor = 1 if len(digits) == 4 else 2
    return int(digits[: -2 - minor]), int(digits[-2 - minor : -2]), int(digits[-2:])


def _generation(version: Optional[Tuple[int, int, int]]) -> str:
    found = (name for since, name in GENERATIONS if version and version[:2] >= since)
    return next(found, OLDEST)


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
            "the rate is 0, as in 7.x with an explicit batch, and it cannot be computed without wall time, "
            "total and mean compute time"
        )
    return round(found.compute_total_s * 1e3 / compute.mean_ms) / found.wall_s, "derived"


def _nothing(lines: List[Line], passed: Optional[bool]) -> TrtexecFormatError:
    found = [line for line in lines if line.severity in ("E", "F") and line.text]
    if passed is False and found:
        return found[0].refuse("trtexec failed; its first error")
    last = [line for line in lines if line.text] or lines
    return last[-1].refuse("no performance figures; the last line is")
