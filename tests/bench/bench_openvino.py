"""Sets p_infer_core of vendor intel against OpenVINO's own benchmark_app, and against eager fp32.

    python -m tests.bench.bench_openvino [--row CASE:PRECISION:BS]… [--pairs 5] [--seconds 10]

One row: an ordinary job of intel (its own process, hook and harness) and benchmark_app on the very
ONNX file that the job ran on, in turns, with the same precision, threads, streams and fixed batch. The
figure is the ratio of the two medians. It is asked to be at least 0.98; a machine that others use gives
what it gives, so the load is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from driver.catalog import load_catalog
from driver.models.base import RunnerName
from driver.models.job import Measure
from driver.opening import open_site
from driver.plan import choose
from driver.preparation import prepare
from driver.request import Request
from driver.session import run_job
from driver.settings import load_settings
from driver.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driver.events import Progress
    from driver.models.base import StageName
    from driver.models.manifest import TensorSpec
    from driver.models.result import Result, StageRecord
    from driver.plan import Choice
    from driver.site import Site

ROWS = ("vit_b_32:bf16:1", "vit_b_32:bf16:32", "regnety_016:bf16:32", "vit_l_16:bf16:8")
"""What the suite promises: `intel` on these, each at least GOAL of benchmark_app."""

EAGER_ROW = "vit_b_32:fp32:32"
GOAL = 0.98
EAGER_GOAL = 4.0
ELEMENT_TYPES = {"fp32": "f32", "bf16": "bf16"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model file, precision and batch size."""

    case: str
    precision: str
    batch_size: int

    @classmethod
    def parse(cls, text: str) -> Row:
        """Read ``case:precision:batch size``."""
        case, precision, batch_size = text.split(":")
        return cls(case=case, precision=precision, batch_size=int(batch_size))

    def request(self, vendor: str, engine: str) -> Request:
        """Return a look at this row, with random weights and pictures, on ``engine``."""
        return Request(
            case=self.case,
            vendor=vendor,
            engine=engine,
            precision=self.precision,
            batch_size=self.batch_size,
            weights="synthetic",
            data="synthetic",
            limit=max(64, 4 * self.batch_size),
            runner=RunnerName.PROCESS,
        )


class Notes:
    """A listener that passes on what is worth a line: an installation should not look like a hang."""

    def note(self, text: str) -> None:
        print(f"  {text}", file=sys.stderr)

    def stage_started(self, stage: StageName, repeat: int, repeats: int) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        pass

    def stage_ended(self, record: StageRecord) -> None:
        pass


class Bench:
    """Jobs and the yardstick on one site."""

    def __init__(self, site: Site, *, seconds: float) -> None:
        self._site = site
        self._seconds = seconds

    def choice(self, request: Request) -> Choice:
        """Return the job of a request, with the core loop as long as asked and one process."""
        choice = choose(request, self._site.catalog)
        measure = Measure(min_seconds=self._seconds, repeats=1, limit=request.limit)
        return replace(choice, measure=measure)

    def ours(self, choice: Choice) -> Result:
        """Run the job; SystemExit when it fails, for then there is nothing to compare."""
        result = run_job(self._site, choice).result
        if result.metrics.p_infer_core is None:
            raise SystemExit(f"the job failed: {result.failure}")
        return result

    def yardstick(self, choice: Choice, effective: Mapping[str, object]) -> float:
        """Run benchmark_app on the model file of this job; items a second."""
        prepared = prepare(self._site, choice, Stopwatch())
        venv = prepared.stacks.vendor.venv
        if venv is None:
            raise SystemExit("intel has no virtual environment here: RUNNER=process makes one")
        exported = self._site.settings.cache / "models" / prepared.planned.export_key[:16] / "model"
        tensors = choice.case.manifest.model.inputs
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            limits = {"CPU": {"INFERENCE_NUM_THREADS": str(effective["threads"])}}
            (folder / "limits.json").write_text(json.dumps(limits), encoding="utf-8")
            command = [
                *(str(venv / "bin" / "python3"), str(venv / "bin" / "benchmark_app")),
                *("-m", str(exported / "model.onnx"), "-d", "CPU", "-ip", "f32"),
                *("-shape", ",".join(_shape(tensor, choice.batch_size) for tensor in tensors)),
                *("-infer_precision", ELEMENT_TYPES[choice.precision_name], "-hint", "throughput"),
                *("-load_config", str(folder / "limits.json"), "-t", f"{self._seconds:g}"),
                *("-json_stats", "-report_type", "no_counters", "-report_folder", name),
            ]
            ran = subprocess.run(command, check=False, capture_output=True, text=True)
            if ran.returncode:
                raise SystemExit(
                    f"benchmark_app ended with {ran.returncode}:\n{ran.stdout[-2000:]}"
                )
            report = json.loads((folder / "benchmark_report.json").read_text(encoding="utf-8"))
        _same_settings(report, ran.stdout, effective)
        return float(report["execution_results"]["throughput"])


def _same_settings(
    report: Mapping[str, Mapping[str, str]], printed: str, effective: Mapping[str, object]
) -> None:
    """Refuse a comparison of different configurations: SystemExit with both."""
    streams = re.search(r"NUM_STREAMS: (\d+)", printed)
    theirs = {
        "in_flight": report["configuration_setup"]["number of parallel infer requests"],
        "streams": streams[1] if streams else "not printed",
    }
    ours = {name: str(effective[name]) for name in theirs}
    if ours != theirs:
        raise SystemExit(f"not the same configuration: ours {ours}, benchmark_app's {theirs}")


def _shape(tensor: TensorSpec, batch_size: int) -> str:
    rows = (batch_size * tensor.rows_per_item,) if tensor.batched else ()
    return f"{tensor.name}[{','.join(str(size) for size in (*rows, *tensor.shape))}]"


def compare(bench: Bench, row: Row, pairs: int) -> tuple[float, float]:
    """Return the medians of ours and benchmark_app's, run in turns ``pairs`` times; prints the row."""
    choice = bench.choice(row.request("intel", "openvino"))
    ours, theirs = [], []
    for _ in range(pairs):
        result = bench.ours(choice)
        ours.append(result.metrics.p_infer_core or 0.0)
        theirs.append(bench.yardstick(choice, result.provenance["effective"]["infer"]))
    median, yardstick = statistics.median(ours), statistics.median(theirs)
    ratio = median / yardstick
    print(
        f"{row.case:14} {row.precision} bs {row.batch_size:3}: {median:9.2f} items/s, benchmark_app "
        f"{yardstick:9.2f}, ratio {ratio:.3f} ({'reached' if ratio >= GOAL else 'below'} {GOAL}); "
        f"ours {_listed(ours)}, theirs {_listed(theirs)}, load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return median, yardstick


def compare_eager(bench: Bench, pairs: int) -> None:
    """Print how many times eager fp32 on the same processor the engine's best precision gives."""
    eager_row = Row.parse(EAGER_ROW)
    fast_row = replace(eager_row, precision="bf16")
    eager_choice = bench.choice(eager_row.request("cpu", "eager"))
    fast_choice = bench.choice(fast_row.request("intel", "openvino"))
    eager, fast = [], []
    for _ in range(pairs):
        eager.append(bench.ours(eager_choice).metrics.p_infer_core or 0.0)
        fast.append(bench.ours(fast_choice).metrics.p_infer_core or 0.0)
    times = statistics.median(fast) / statistics.median(eager)
    print(
        f"{eager_row.case:14} bf16 bs {eager_row.batch_size:3}: {statistics.median(fast):9.2f} items/s, "
        f"eager fp32 {statistics.median(eager):9.2f}, {times:.2f} times "
        f"({'reached' if times >= EAGER_GOAL else 'below'} {EAGER_GOAL})",
        flush=True,
    )


def _listed(values: Sequence[float]) -> str:
    return "/".join(f"{value:.4g}" for value in values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare all rows; 0 when every one reaches its goal, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--row", action="append", help=f"default: {', '.join(ROWS)}")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of every timed loop")
    parser.add_argument("--no-eager", action="store_true", help="leave eager fp32 out")
    given = parser.parse_args(arguments)
    settings = load_settings()
    with tempfile.TemporaryDirectory() as folder:
        # A bench leaves no results beside those that a lab keeps.
        settings = settings.model_copy(update={"results": Path(folder)})
        catalog = load_catalog(settings.root)
        with open_site(RunnerName.PROCESS, settings, catalog, Notes()) as site:
            bench = Bench(site, seconds=given.seconds)
            rows = [Row.parse(text) for text in given.row or ROWS]
            reached = [compare(bench, row, given.pairs) for row in rows]
            if not given.no_eager:
                compare_eager(bench, given.pairs)
    return 0 if all(ours >= GOAL * theirs for ours, theirs in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
