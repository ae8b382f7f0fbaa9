"""The core loop with inputs that change, against the same session on inputs that do not; in one process.

    python alternating_loops.py HARNESS MODEL THREADS BATCH_SIZE SECONDS [SESSION_KEY=VALUE]…

Runs in the cpu stack's environment; prints JSON: the ratio of their rates (fast calls show the cost, the
median also the machine's other load) and the share of a call's time that changing takes. Blocks of a quarter
of a second alternate, so that other load meets both.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import onnxruntime

harness, model, threads, batch_size, seconds, *settings = sys.argv[1:]
sys.path.insert(0, harness)

from harness.engine import Engine  # noqa: E402
from harness.inputs.core_pool import CorePool  # noqa: E402
from harness.inputs.pooled_input import PooledInput  # noqa: E402
from harness.loops.core import core_loop  # noqa: E402

BLOCK_S = 0.25
BATCHES = 32

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
options.inter_op_num_threads = 1
for setting in settings:
    options.add_session_config_entry(*setting.split("=", 1))
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
first = session.get_inputs()[0]
size = int(batch_size)
items = np.random.RandomState(0).standard_normal((BATCHES * size, *first.shape[1:]))
items = items.astype(np.float32)


class Session(Engine):
    """As the engine onnxruntime of vendor cpu."""

    def infer(self, inputs: Any) -> Any:
        return {"output": session.run(None, inputs)[0]}


def bare() -> np.ndarray:
    """The times of calls of nothing but session.run, over batches in turn, in ns."""
    started = [time.perf_counter_ns()]
    while started[-1] - started[0] < BLOCK_S * 1e9:
        session.run(None, still[len(started) % BATCHES])
        started.append(time.perf_counter_ns())
    return np.diff(started)


def ours() -> np.ndarray:
    """The times of calls of the core loop, with what it does between them, in ns."""
    return core_loop(engine, pool, 1, BLOCK_S).samples_ns()


engine = Session(None)
still = [{first.name: items[n * size : (n + 1) * size].copy()} for n in range(BATCHES)]
one = PooledInput(items, items[: 2 * size].copy(), 1)
pool = CorePool({first.name: one}, {}, list(range(2 * size)), size, BATCHES)
bare()
pool.fit(int(np.median(bare())))
blocks = [(bare(), ours()) for _ in range(max(1, int(float(seconds) / BLOCK_S / 2)))]
still_ns, changing_ns = (np.concatenate([pair[side] for pair in blocks]) for side in (0, 1))
percentiles = {
    str(percent): float(np.percentile(still_ns, percent) / np.percentile(changing_ns, percent))
    for percent in (5, 25, 50)
}
print(
    json.dumps(
        {
            "calls": len(still_ns),
            "call_ns": float(np.median(still_ns)),
            "rate_ratio_by_percentile_of_call_time": percentiles,
            "change_ns": pool.change_ns,
            "change_share": pool.change_ns / float(np.median(still_ns)),
            "changed_share_of_items": pool.document()["changed_share"][first.name],
        }
    )
)
