"""Figures out of what ais_bench leaves, in its two generations.

- ``0.0.1`` (``ais_infer.py``): ``<output>/<timestamp>/sumary.json`` (that spelling).
- ``0.0.2`` (``python3 -m ais_bench``): ``<output>/<timestamp>_summary.json`` beside that folder.

Its ``throughput`` is 1000 × batch size ÷ mean NPU compute time: it already counts items, and it is
device compute alone, without the copies; ``items_per_second`` is what a user would see with one
batch in flight, copies included. Times are milliseconds.
"""

import json
import re
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

TIMESTAMP = r"\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d"
PRINTED = re.compile(
    r"throughput 1000\*batchsize(?:\.mean)?\((?P<batch>[\d.]+)\)"
    r"/NPU_compute_time\.mean\((?P<mean>[\d.]+)\): (?P<rate>[\d.]+)\s*$"
)
TIMES = {"NPU_compute_time": "compute", "H2D_latency": "h2d", "D2H_latency": "d2h"}


class AisBenchFormatError(ValueError):
    """Not what ais_bench leaves; the message names the file and key, or the line."""


class Timing(NamedTuple):
    """One statistic, milliseconds; ``calls`` is None in files of early releases."""

    min_ms: float
    max_ms: float
    mean_ms: float
    median_ms: float
    p99_ms: float
    calls: Optional[int]


class AisBenchSummary(NamedTuple):
    """One summary JSON. ``device_rate`` is the tool's own throughput, device compute only."""

    generation: str
    file: str
    device_rate: float
    batch_size: int
    compute: Timing
    h2d: Optional[Timing]
    d2h: Optional[Timing]
    compute_ms: Tuple[float, ...]
    outputs: Dict[str, Tuple[str, ...]]

    def items_per_second(self) -> Optional[float]:
        """Items a second with both copies; None where the file does not tell the copies."""
        if self.h2d is None or self.d2h is None:
            return None
        return self.batch_size * 1e3 / (self.h2d.mean_ms + self.compute.mean_ms + self.d2h.mean_ms)


def find_summary(output_folder: str) -> Tuple[str, str]:
    """Return (path, generation) of the newest summary under what ``--output`` named."""
    folder = Path(output_folder)
    found: List[Tuple[str, str, str]] = []
    for path in folder.iterdir() if folder.is_dir() else ():
        new = re.match("^(" + TIMESTAMP + r")_summary\.json$", path.name)
        if new:
            found.append((new.group(1), str(path), "0.0.2"))
        old = path / "sumary.json"
        if re.match("^" + TIMESTAMP + "$", path.name) and old.is_file():
            found.append((path.name, str(old), "0.0.1"))
    if not found:
        raise AisBenchFormatError(
            "no <timestamp>_summary.json (0.0.2) and no <timestamp>/sumary.json (0.0.1) in {!r}. Did "
            "ais_bench run with --output, and finish?".format(output_folder)
        )
    _, path_text, generation = max(found)
    return path_text, generation


def parse(
    text: str, batch_size: int, generation: str = "0.0.2", file: str = "summary.json"
) -> AisBenchSummary:
    """Read a summary JSON of a model whose batch is ``batch_size``."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise AisBenchFormatError("{}: not JSON ({})".format(file, error)) from None
    if not isinstance(data, dict):
        raise AisBenchFormatError(
            "{}: a JSON object was expected, found {!r}".format(file, text[:40])
        )
    timings = {name: _timing(data.get(key), key, file) for key, name in TIMES.items()}
    compute = timings["compute"]
    rate = _number(data, "throughput", file, "")
    if compute is None:
        raise AisBenchFormatError("{}: there is no NPU_compute_time".format(file))
    _check_rate(rate, batch_size, compute, file)
    return AisBenchSummary(
        generation, file, rate, batch_size, compute, timings["h2d"], timings["d2h"],
        tuple(float(ms) for ms in data.get("npu_compute_time_list", ())), _outputs(data, file),
    )  # fmt: skip


def read(output_folder: str, batch_size: int) -> AisBenchSummary:
    """Find and read the newest summary under ``output_folder``."""
    path, generation = find_summary(output_folder)
    text = Path(path).read_text(encoding="utf-8")
    return parse(text, batch_size, generation, path)


def parse_stdout(text: str) -> Tuple[float, float]:
    """Return (batch size, items a second of device compute) of the closing line on stdout."""
    told = [line for line in text.splitlines() if "throughput 1000*" in line]
    if not told:
        last = ([line for line in text.splitlines() if line.strip()] or [""])[-1]
        raise AisBenchFormatError(
            "ais_bench printed no throughput; its last line is {!r}".format(last)
        )
    match = PRINTED.search(told[-1])
    if not match:
        raise AisBenchFormatError(
            "ais_bench: no version prints throughput as {!r}".format(told[-1])
        )
    return float(match.group("batch")), float(match.group("rate"))


def _timing(row: Any, key: str, file: str) -> Optional[Timing]:
    if row is None:
        return None
    if not isinstance(row, dict):
        raise AisBenchFormatError("{}: {} is {!r}, not an object".format(file, key, row))
    count = row.get("count")
    low, high, mean, median, p99 = (
        _number(row, name, file, key + ".")
        for name in ("min", "max", "mean", "median", "percentile(99%)")
    )
    return Timing(low, high, mean, median, p99, int(count) if count is not None else None)


def _number(row: Dict[str, Any], name: str, file: str, where: str) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise AisBenchFormatError(
            "{}: {}{} is {!r}; a number was expected".format(file, where, name, value)
        )
    return float(value)


def _check_rate(rate: float, batch_size: int, compute: Timing, file: str) -> None:
    """The tool counts ``--batchsize``; when that is not the model's batch, its rate is wrong."""
    expected = 1e3 * batch_size / compute.mean_ms
    if abs(rate - expected) > 0.01 * expected:
        raise AisBenchFormatError(
            "{}: throughput {:.6g} is not 1000 × batch size {} ÷ mean NPU compute time {:.6g} ms = "
            "{:.6g}. Run ais_bench with --batchsize {}.".format(
                file, rate, batch_size, compute.mean_ms, expected, batch_size
            )
        )


def _outputs(data: Dict[str, Any], file: str) -> Dict[str, Tuple[str, ...]]:
    """Return {sample id: output files}, as filesinfo has it."""
    rows = data.get("filesinfo", {})
    if not isinstance(rows, dict):
        raise AisBenchFormatError("{}: filesinfo is {!r}, not an object".format(file, rows))
    return {str(name): tuple(row.get("outfiles", ())) for name, row in rows.items()}
