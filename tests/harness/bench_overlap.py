"""How much of the core figure the whole loop reaches on a simulated device (1 ms an item).

    python -m tests.harness.bench_overlap [seconds]

The items are preprocessed tensors (3 × 224 × 224 float32). Prints one JSON document: for each batch
size the median ratio p_infer_whole ÷ p_infer_core of three runs. Exits 1 where one is below 0.95.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from tests.bench.entry import ended
from tests.bench.row import count
from tests.harness.job_folder import CLASSES, JobFolder, write_tensors

SHAPE = (3, 224, 224)
ITEM_MS = 1.0
BATCH_SIZES = (1, 8, 32)
RUNS = 3
AIM = 0.95


def ratio(folder: Path, batch_size: int, seconds: float) -> float:
    """Return p_infer_whole ÷ p_infer_core of one fresh process."""
    job = JobFolder(
        folder,
        engine="enqueue",
        batch_size=batch_size,
        engine_options={"item_ms": ITEM_MS},
        input_kind="tensor",
        inputs=[{"name": "input", "shape": list(SHAPE)}],
        outputs=[{"name": "logits", "shape": [CLASSES]}],
        measure={"min_seconds": seconds, "warmup_max_seconds": 1.0, "core_batches": 8},
    )
    random = np.random.default_rng(0)
    count = max(2 * batch_size, int(seconds * 1000 / ITEM_MS))
    items = random.random((count, *SHAPE), np.float32)
    write_tensors(job.data, [{"input": item} for item in items])
    found = {m.name: m.items / m.wall_ns for m in job.run(timeout_s=300).ok.measurements}
    return found["whole"] / found["core"]


def main() -> int:
    """Print the ratios; 0 when every one reaches the aim, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("seconds", type=count, nargs="?", default=1, help="length of every loop")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        ratios = {
            str(size): round(
                median(ratio(Path(folder, f"{size}-{run}"), size, seconds) for run in range(RUNS)),
                4,
            )
            for size in BATCH_SIZES
        }
    document = {"item_ms": ITEM_MS, "whole_over_core_by_batch_size": ratios}
    sys.stdout.write(json.dumps(document) + "\n")
    return 0 if min(ratios.values()) >= AIM else 1


if __name__ == "__main__":
    sys.exit(ended(main))
