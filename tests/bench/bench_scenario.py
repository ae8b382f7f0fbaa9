"""What a load scenario itself costs: processor time per query of an engine that computes nothing.

    python -m tests.bench.bench_scenario [--seconds 2]

Counted is everything between LoadGen's query and its answer but the engine: LoadGen's own threads and its log, the call
into Python, the queue and the batches of Server, the place of the samples in memory, the answer. The engine is in this
process, since the messages to another one are no part of it (`make bench CASE=boundary` has those). An offline query
is a sample here, and one of multistream eight. The suite promises at most 20 µs per query.

Exits with 0 when every row keeps the promise, with 1 when one does not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.entry import ended
from tests.harness.job_folder import JobFolder
from tests.harness.modules import answers, dataset, loadgen, sample_library
from tests.harness.modules import batch_loader as loader
from tests.harness.modules import engine as engines
from tests.harness.modules import job as job_module
from tests.harness.scenarios.conftest import scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMISE_US = 20.0
ROWS = (("singlestream", 1), ("multistream", 8), ("offline", 32), ("server", 32))
"""Scenarios, and the batch size of each."""
SERVER_RATE = 10_000.0
"""Arrivals per second of Server."""
EXPECTED_RATES = {"singlestream": 20_000.0, "multistream": 8_000.0, "offline": 100_000.0}
"""Queries per second that LoadGen expects elsewhere: it makes four times as many ahead as this needs."""
FEATURES, CLASSES, ITEMS = 64, 1000, 64


class Instant(engines.Engine):  # type: ignore[misc]
    """Gives the same outputs at once."""

    def load(self) -> dict[str, Any]:
        self._outputs = np.zeros((self.job.batch_size, CLASSES), np.float32)
        return {}

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"logits": self._outputs[: len(inputs["input"])]}


class Zeros(loader.ItemSource):  # type: ignore[misc]
    """Items that are all alike."""

    layout = {"input": ((FEATURES,), np.dtype(np.float32))}  # noqa: RUF012

    def fill(self, position: int, row: int, buffers: dict[str, Any]) -> None:
        buffers["input"][row] = 0


class Decoding:
    """A task whose predictions are the best classes."""

    def decode(self, outputs: dict[str, Any]) -> dict[str, Any]:
        return {"classes": outputs["logits"].argmax(1).astype(np.int32)}


def cost(folder: Path, name: str, batch_size: int, seconds: float) -> tuple[float, float, int]:
    """Return processor time per query in µs, LoadGen's median latency in µs, and the number of queries."""
    document = scenario(name, min_duration_ms=int(1000 * seconds), performance_samples=ITEMS)
    made = JobFolder(
        folder,
        batch_size=batch_size,
        scenario=document,
        inputs=[{"name": "input", "shape": [FEATURES]}],
        outputs=[{"name": "logits", "shape": [CLASSES]}],
    ).with_pictures(ITEMS)
    made.write_job("infer")
    job = job_module.read_job(folder, "infer")
    engine, module = Instant(job), loadgen.load()
    engine.load()
    found = dataset.Dataset(job.data_dir)
    library = sample_library.SampleLibrary(job, Zeros(), found, np.empty, 2)
    found.close()
    kind = answers.QueuedAnswers if name == "server" else answers.Answers
    made_answers = kind(module, engine, library, Decoding(), job, depth=1)
    rate = EXPECTED_RATES.get(name, SERVER_RATE)
    asked = loadgen.Asked("PerformanceOnly", rate, document["min_duration_ms"], 1)
    loadgen.settle(module, made_answers.threads)
    before = time.process_time()
    log = loadgen.run_test(module, asked, job.scenario, library, made_answers, folder / "logs")
    used = time.process_time() - before
    made_answers.close()
    queries = made_answers.samples // document["samples_per_query"]
    kind_of = "per_query_" if name == "multistream" else ""
    median_ns = log[f"result_50.00_percentile_{kind_of}latency_ns"]
    return 1e6 * used / queries, median_ns / 1e3, queries


def measure(name: str, batch_size: int, seconds: float) -> bool:
    """Measure a row and print it; return whether it keeps the promise."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        used, latency, queries = cost(Path(folder) / "job", name, batch_size, seconds)
    kept = used <= PROMISE_US
    alone = "" if name == "offline" else f", median latency {latency:.1f} µs"
    print(
        f"{name}, bs {batch_size}: {used:.1f} µs of processor time per query "
        f"({'at most' if kept else 'above'} {PROMISE_US:g}){alone}, {queries:,} queries; "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all rows; 0 when every one keeps the promise, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    seconds = parser.parse_args(arguments).seconds
    kept = [measure(name, batch_size, seconds) for name, batch_size in ROWS]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
