"""The core and latency loops with the engine in a process of its own, and in this one, in turns.

    python boundary_loops.py HARNESS VENDOR ENGINE MODEL THREADS BATCH_SIZE SECONDS

Runs in the cpu stack's environment, with an engine of VENDOR's folder; prints JSON. ENGINE is a name, or
``sleeping:CALL_NS:IN_FLIGHT`` for the simulated device of tests/bench/device. Blocks of half a second alternate, so
that other load meets both; the figures are medians over blocks.
"""

import json
import os
import pathlib
import sys
import tempfile
from typing import Any

import numpy as np
import onnxruntime

harness, vendor, engine_name, model, threads, batch_size, seconds = sys.argv[1:]
engine_name, *device = engine_name.split(":")
if device:
    os.environ.update(BENCH_CALL_NS=device[0], BENCH_IN_FLIGHT=device[1])
sys.path.insert(0, harness)

from harness.boundary.remote import RemoteEngine  # noqa: E402
from harness.engine import Engine  # noqa: E402
from harness.inputs.core_pool import CorePool  # noqa: E402
from harness.inputs.pooled_input import PooledInput  # noqa: E402
from harness.job import Job, Measure, read_job  # noqa: E402
from harness.loops import core  # noqa: E402
from harness.loops.latency import latency_loop  # noqa: E402
from harness.plugins import load_engine  # noqa: E402

BLOCK_S = 0.5
BATCHES = 32


def make_job(folder: pathlib.Path) -> Job:
    """A job folder as a session lays it out, without data."""
    for name in ("cache", "out", "data"):
        (folder / name).mkdir()
    links = {
        "harness": pathlib.Path(harness) / "harness",
        "hook": pathlib.Path(vendor),
        "model": pathlib.Path(model).parent,
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    given, found = session.get_inputs()[0], session.get_outputs()[0]
    rows = np.zeros((1, *given.shape[1:]), np.float32)
    outputs = session.run(None, {given.name: rows})[0]
    key = dict.fromkeys(("case", "stack", "chip"), "bench")
    key.update(id="0" * 16, vendor="cpu", engine=engine_name, precision="fp32", tier="smoke")
    document = {
        "schema": "assay/job/1",
        "job": dict(key, batch_size=int(batch_size), runner="process"),
        "inputs": [{"name": given.name, "shape": list(given.shape[1:])}],
        "outputs": [{"name": found.name, "shape": list(outputs.shape[1:])}],
        "measure": {"min_seconds": BLOCK_S, "repeats": 1, "latency_max_seconds": BLOCK_S / 2},
        "arithmetic": "fp32",
        "golden_count": 1,
        "weights": "synthetic",
        "threads": int(threads),
    }
    (folder / "job.json").write_text(json.dumps(document), encoding="utf-8")
    return read_job(folder, "infer")


class Side:
    """An engine with a pool of its own."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self.engine = engine
        engine.load()
        spec = job.inputs[0]
        items = engine.empty((BATCHES * job.batch_size, *spec.shape), np.float32)
        items[:] = np.random.RandomState(0).standard_normal(items.shape)
        one = PooledInput(items, items[: 2 * job.batch_size].copy(), 1)
        positions = list(range(2 * job.batch_size))
        self.pool = CorePool({spec.name: one}, {}, positions, job.batch_size, BATCHES)
        self._warm = core.WarmUp()
        self.core_ns: list[float] = []
        self.latency_ns: list[float] = []

    def block(self, measure: Measure, size: int) -> None:
        """Measure one block of core and one of latency."""
        ahead = core.ahead(self.engine, self.pool, self._warm)
        run = core.core_loop(self.engine, self.pool, 1, BLOCK_S, posted_ahead=ahead)
        self._warm.call_ns = run.wall_ns // run.calls
        self.core_ns.append(run.wall_ns / run.calls)
        single = latency_loop(self.engine, self.pool, measure, size)
        self.latency_ns.append(float(np.median(single.samples_ns())))


def measured(job: Job) -> dict[str, Any]:
    """The figures of both sides."""
    remote = RemoteEngine(job)
    try:
        remote.open()
        apart, together = Side(remote, job), Side(load_engine(job), job)
        for side in (apart, together):
            side.block(job.measure, job.batch_size)
            side.pool.fit(int(side.core_ns[0]))
            side.core_ns, side.latency_ns = [], []
        for _ in range(max(2, int(float(seconds) / BLOCK_S / 3))):
            apart.block(job.measure, job.batch_size)
            together.block(job.measure, job.batch_size)
        pairs = np.array(together.core_ns) / np.array(apart.core_ns)
        return {
            "call_ns": float(np.median(together.core_ns)),
            "core_ratio": float(np.median(pairs)),
            "core_ratio_quartiles": np.percentile(pairs, (25, 75)).tolist(),
            "latency_ns": float(np.median(together.latency_ns)),
            "latency_added_ns": float(np.median(apart.latency_ns) - np.median(together.latency_ns)),
            "message_ns": remote.call_ns,
        }
    finally:
        remote.close()


with tempfile.TemporaryDirectory(prefix="assay-bench-") as made:
    sys.path.insert(0, made)
    print(json.dumps(measured(make_job(pathlib.Path(made)))))
