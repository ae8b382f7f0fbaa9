"""Figures from the files that ais_bench writes, in its two generations.

- ``0.0.1`` (``ais_infer.py``): ``<output>/<timestamp>/sumary.json`` (sic).
- ``0.0.2`` (``python3 -m ais_bench``): ``<output>/<timestamp>_summary.json`` beside that folder.

Its ``throughput`` is 1000 × batch size ÷ mean NPU compute time: it already counts items, and covers
only computation on the device, without the copies. Compute is timed per execution; a copy is timed per
TENSOR and made once per batch, however often ``--loop`` executes it. ``batch_times`` is the time of one
batch with all of its copies. Times are in milliseconds.
"""

import json
import re
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

TIMESTAMP = r"\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d"
TIMES = {"NPU_compute_time": "compute", "H2D_latency": "h2d", "D2H_latency": "d2h"}


class AisBenchFormatError(ValueError):
    """The file is not one of ais_bench; the message names file and key."""


class AisBenchTiming(NamedTuple):
    """One statistic over ``entries`` values, in milliseconds; ``entries`` is None in early releases."""

    max_ms: float
    mean_ms: float
    entries: Optional[int]

    def of_a_batch(self, batches: int, tensors: int) -> Optional[float]:
        """The time of all copies of one batch; None where all took 0, which means that none was timed."""
        if self.max_ms == 0:
            return None
        # Releases of mid-2022 give no count, and some report a batch's outputs as one copy: their figures
        # become too low, never too high.
        return self.mean_ms * (tensors if self.entries is None else self.entries / batches)


class BatchTimes(NamedTuple):
    """Device times of one batch, in milliseconds; a copy is None where the tool does not report it."""

    h2d_ms: Optional[float]
    compute_ms: float
    d2h_ms: Optional[float]

    @property
    def total_ms(self) -> float:
        """The sum: the three run one after the other."""
        return sum(part for part in self if part is not None)


class AisBenchSummary(NamedTuple):
    """One summary JSON. ``device_rate`` is the tool's own throughput, of device computation only."""

    generation: str
    file: str
    device_rate: float
    batch_size: int
    compute: AisBenchTiming
    h2d: Optional[AisBenchTiming]
    d2h: Optional[AisBenchTiming]
    compute_ms: Tuple[float, ...]
    outputs: Dict[str, Tuple[str, ...]]

    def batch_times(self, batches: int, inputs: int, outputs: int) -> BatchTimes:
        """The times of one batch, in a run over ``batches`` of a model with ``inputs`` and ``outputs`` tensors."""
        return BatchTimes(
            None if self.h2d is None else self.h2d.of_a_batch(batches, inputs),
            self.compute.mean_ms,
            None if self.d2h is None else self.d2h.of_a_batch(batches, outputs),
        )


def find_summary(output_folder: str) -> Tuple[str, str]:
    """Return (path, generation) of the newest summary below the folder of ``--output``."""
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
    """Read a summary JSON of a model whose batch size is ``batch_size``."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise AisBenchFormatError("{}: not JSON ({})".format(file, error)) from None
    if not isinstance(data, dict):
        raise AisBenchFormatError("{}: expected a JSON object, found {!r}".format(file, text[:40]))
    timings = {name: _timing(data.get(key), key, file) for key, name in TIMES.items()}
    compute = timings["compute"]
    rate = _number(data, "throughput", file, "")
    if compute is None:
        raise AisBenchFormatError("{}: NPU_compute_time is missing".format(file))
    if compute.mean_ms <= 0:
        raise AisBenchFormatError(
            "{}: NPU_compute_time.mean is {:g}: nothing was timed".format(file, compute.mean_ms)
        )
    _check_rate(rate, batch_size, compute, file)
    return AisBenchSummary(
        generation, file, rate, batch_size, compute, timings["h2d"], timings["d2h"],
        _single_times(data, file), _outputs(data, file),
    )  # fmt: skip


def read(output_folder: str, batch_size: int) -> AisBenchSummary:
    """Find and read the newest summary under ``output_folder``."""
    path, generation = find_summary(output_folder)
    text = Path(path).read_text(encoding="utf-8")
    return parse(text, batch_size, generation, path)


def _timing(row: Any, key: str, file: str) -> Optional[AisBenchTiming]:
    if row is None:
        return None
    if not isinstance(row, dict):
        raise AisBenchFormatError("{}: {} is {!r}, not an object".format(file, key, row))
    high, mean = (_number(row, name, file, key + ".") for name in ("max", "mean"))
    count = None if row.get("count") is None else int(_number(row, "count", file, key + "."))
    return AisBenchTiming(high, mean, count)


def _single_times(data: Dict[str, Any], file: str) -> Tuple[float, ...]:
    """Read npu_compute_time_list; with several threads, later releases write [start, end] there."""
    times = data.get("npu_compute_time_list", [])
    if not isinstance(times, list):
        times = [times]
    for time in times:
        if isinstance(time, bool) or not isinstance(time, (int, float)):
            raise AisBenchFormatError(
                "{}: npu_compute_time_list has {!r}, expected a number (overlapping executions, reported "
                "as [start, end], have no separate times)".format(file, time)
            )
    return tuple(float(time) for time in times)


def _number(row: Dict[str, Any], name: str, file: str, where: str) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise AisBenchFormatError(
            "{}: {}{} is {!r}, expected a number".format(file, where, name, value)
        )
    return float(value)


def _check_rate(rate: float, batch_size: int, compute: AisBenchTiming, file: str) -> None:
    """The tool uses ``--batchsize``; if that is not the model's batch size, its rate is wrong."""
    expected = 1e3 * batch_size / compute.mean_ms
    if abs(rate - expected) > 0.01 * expected:
        raise AisBenchFormatError(
            "{}: throughput {:.6g} is not 1000 × batch size {} ÷ mean NPU compute time {:.6g} ms = "
            "{:.6g}. Run ais_bench with --batchsize {}.".format(
                file, rate, batch_size, compute.mean_ms, expected, batch_size
            )
        )


def _outputs(data: Dict[str, Any], file: str) -> Dict[str, Tuple[str, ...]]:
    """Return {sample id: output files} from filesinfo."""
    rows = data.get("filesinfo", {})
    if not isinstance(rows, dict):
        raise AisBenchFormatError("{}: filesinfo is {!r}, not an object".format(file, rows))
    return {str(name): tuple(row.get("outfiles", ())) for name, row in rows.items()}
