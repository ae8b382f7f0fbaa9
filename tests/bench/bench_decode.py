"""What the decode loop itself costs: processor time per token of a language model that computes nothing.

    python -m tests.bench.bench_decode [--steps 20000]

The time of both processes is counted, of the harness and of the engine: handing over tokens, the messages, copying
the logits into shared memory, choosing the most probable token, the clock. The suite promises at most 50 µs per
token. Wall time is printed beside it: two processes wake each other up for every token, which takes longer where
other load keeps the cores busy.

Exits with 0 when every row keeps the promise, with 1 when one does not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.bench.entry import ended
from tests.harness.job_folder import JobFolder
from tests.harness.modules import job as job_module
from tests.harness.modules import remote, token_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

PROMISE_US = 50.0
ROWS = ((1, 256), (1, 49152), (8, 256))
"""Sequences of a batch, and the size of the vocabulary."""
TOKENS = 64
DEVICE = Path(__file__).with_name("device")


def cost(folder: Path, batch_size: int, vocabulary: int, steps: int) -> tuple[float, float]:
    """Return (processor time, wall time) of a step in µs, over ``steps`` steps in whole sequences."""
    made = JobFolder(
        folder,
        hook=DEVICE,
        engine="instant",
        batch_size=batch_size,
        task="text-generation",
        inputs=[{"name": "input_ids", "shape": [], "dtype": "int64"}],
        outputs=[{"name": "logits", "shape": [vocabulary]}],
        generation={
            "context": 128,
            "hidden": 8,
            "layers": 1,
            "heads": 1,
            "kv_heads": 1,
            "head_size": 8,
            "prompt": TOKENS,
            "tokens": TOKENS,
        },
    )
    made.write_job("infer")
    engine = remote.RemoteEngine(job_module.read_job(folder, "infer"))
    try:
        engine.open()
        engine.load()
        prompts = Unchanging(engine.empty((batch_size, TOKENS), np.int64))
        loop = token_loop.TokenLoop(engine, prompts, engine.job)
        sequences = -(-steps // TOKENS)
        loop.run(lambda done, _: done < max(1, sequences // 10))
        before, started = _processor_s(engine), time.perf_counter()
        run = loop.run(lambda done, _: done < sequences)
        wall, used = time.perf_counter() - started, _processor_s(engine) - before
        return 1e6 * used / run.calls, 1e6 * wall / run.calls
    finally:
        engine.close()


class Unchanging:
    """The same prompts again and again: drawing others is the cost of a prefill."""

    def __init__(self, prompts: np.ndarray) -> None:
        self._prompts = prompts
        prompts[...] = 0

    def take(self) -> dict[str, np.ndarray]:
        return {"input_ids": self._prompts}

    def release(self) -> None:
        pass


def _processor_s(engine: remote.RemoteEngine) -> float:
    """Return the processor time of this process and of the engine's, in seconds."""
    # The clock of another process's processor time, by its id: include/linux/posix-timers.h.
    pid = engine._process._process.pid
    of_engine = (~pid << 3) | 2
    return time.process_time() + time.clock_gettime(of_engine)


def measure(batch_size: int, vocabulary: int, steps: int) -> bool:
    """Measure a row and print it; return whether it keeps the promise."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        used, wall = cost(Path(folder) / "job", batch_size, vocabulary, steps)
    per_token = used / batch_size
    kept = per_token <= PROMISE_US
    print(
        f"bs {batch_size}, vocabulary {vocabulary}: {used:.1f} µs of processor time per step, {per_token:.1f} µs per "
        f"token ({'at most' if kept else 'above'} {PROMISE_US:g}); {wall:.1f} µs of wall time per step; "
        f"load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all rows; 0 when every one keeps the promise, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    steps = parser.parse_args(arguments).steps
    kept = [measure(batch_size, vocabulary, steps) for batch_size, vocabulary in ROWS]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
