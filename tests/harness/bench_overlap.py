"""How much of the core figure the whole loop reaches on a simulated device, and where the host is the limit.

    make bench CASE=overlap [ARGS="--seconds 1 --rounds 3 --rate 1000 --rate 10000 --cores 1"]

Two parts, one JSON document. ``whole_over_core_by_batch_size``: preprocessed tensors (3 × 224 × 224 float32) on a
device of 1 ms an item, the median of the rounds; the aim is 0.95. ``host_limit``: devices of 1,000 to 20,000
pictures a second, from files (JPEGs of 500 × 375, the constants of vit_b_32) and from tensors, on 1 … n cores.
The loader's own rate is measured without a device right before and right after each of them, since it drifts on
a machine that others use; it is the fastest device that this host keeps busy. ``predicted`` whole is the mean of
the two or the device's rate, whichever is lower, and must be within 10 % of what the whole loop reached. ``cores_for_core`` is what
the warning input_bound says.

Exits with 1 where the aim or a prediction is missed. Other work on the machine makes both miss.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from driver.system.host.processor import read_processor
from tests.bench.bench_loader import BATCH_SIZE, CONSTANTS, ITEMS, Bench, repeat, write_pictures
from tests.bench.entry import ended
from tests.bench.row import count
from tests.harness.job_folder import CLASSES, JobFolder, write_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHAPE = (3, 224, 224)
ITEM_MS = 1.0
BATCH_SIZES = (1, 8, 32)
AIM = 0.95
RATES = (1_000, 2_000, 5_000, 10_000, 20_000)
WITHIN = 0.10
DISTINCT = 64


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A folder of DISTINCT items, over and over."""

    folder: Path
    kind: str

    def shortened(self, folder: Path, items: int) -> None:
        """Make ``folder`` a dataset of the first ``items`` of these."""
        shutil.copyfile(self.folder / "index.json", folder / "index.json")
        (folder / "items.bin").symlink_to(self.folder / "items.bin")
        repeat(folder, items)


@contextmanager
def on_cores(number: int) -> Iterator[None]:
    """Run this process, and what it starts, on the first ``number`` of its cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:number])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def rates(job: JobFolder) -> tuple[float, float]:
    """Return core and whole of one fresh process, items a second."""
    found = {m.name: 1e9 * m.items / m.wall_ns for m in job.run(timeout_s=300).ok.measurements}
    return found["core"], found["whole"]


def job_of(folder: Path, item_ms: float, batch_size: int, seconds: float, kind: str) -> JobFolder:
    """Return a job on the simulated device; its dataset is still to be written."""
    return JobFolder(
        folder,
        engine="enqueue",
        batch_size=batch_size,
        engine_options={"item_ms": item_ms},
        input_kind=kind,
        inputs=[{"name": "input", "shape": list(SHAPE)}],
        outputs=[{"name": "logits", "shape": [CLASSES]}],
        preprocess=CONSTANTS,
        threads=len(os.sched_getaffinity(0)),
        measure={"min_seconds": seconds, "warmup_max_seconds": 1.0, "core_batches": 2},
    )


def overlap(folder: Path, tensors: Dataset, batch_size: int, seconds: float) -> float:
    """Return p_infer_whole ÷ p_infer_core of the device of 1 ms an item."""
    job = job_of(folder, ITEM_MS, batch_size, seconds, "tensor")
    tensors.shortened(job.data, max(2 * batch_size, int(seconds * 1000 / ITEM_MS)))
    core, whole = rates(job)
    return whole / core


def host_limit(
    folder: Path,
    dataset: Dataset,
    cores: int,
    device_rates: Sequence[int],
    rounds: int,
    seconds: int,
) -> dict[str, object]:
    """Return what the loader does by itself, and what the whole loop reaches on each device."""
    bench = Bench(dataset=dataset.folder, seconds=seconds, torchvision=None)
    alone: list[float] = []
    found: dict[int, list[tuple[float, float, float]]] = {rate: [] for rate in device_rates}
    with on_cores(cores):
        for number in range(rounds):
            alone.append(bench.run("assay", cores).rate)
            for rate in device_rates:
                before = alone[-1]
                place = folder / f"{dataset.kind}-{cores}-{number}-{rate}"
                job = job_of(place, 1000 / rate, BATCH_SIZE, 0.2, dataset.kind)
                dataset.shortened(job.data, items_of(min(rate, before), seconds))
                core, whole = rates(job)
                alone.append(bench.run("assay", cores).rate)
                found[rate].append((core, whole, min((before + alone[-1]) / 2, core)))
    return {
        "loader_alone_per_s": round(median(alone), 1),
        "devices": {str(rate): shown(cores, samples) for rate, samples in found.items()},
    }


def items_of(rate: float, seconds: float) -> int:
    """Return how many items last ``seconds``, in whole batches."""
    return max(4, round(rate * seconds / BATCH_SIZE)) * BATCH_SIZE


def shown(cores: int, samples: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    """Return the medians of (core, whole, predicted whole) on one device."""
    core, whole, predicted = (median(values) for values in zip(*samples, strict=True))
    return {
        "core_per_s": round(core, 1),
        "whole_per_s": round(whole, 1),
        "whole_over_core": round(whole / core, 4),
        "predicted_per_s": round(predicted, 1),
        "predicted_over_whole": round(median(p / w for _, w, p in samples), 3),
        "cores_for_core": cores if whole >= AIM * core else math.ceil(cores * core / whole),
    }


def write_datasets(folder: Path) -> tuple[Dataset, Dataset]:
    """Write DISTINCT JPEGs and DISTINCT tensors."""
    files, tensors = folder / "files", folder / "tensors"
    write_pictures(files, DISTINCT)
    items = np.random.default_rng(0).random((DISTINCT, *SHAPE), np.float32)
    write_tensors(tensors, [{"input": item} for item in items])
    repeat(tensors, ITEMS)
    return Dataset(folder=files, kind="file"), Dataset(folder=tensors, kind="tensor")


def measured(folder: Path, given: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Measure both parts."""
    files, tensors = write_datasets(folder)
    ratios: dict[str, object] = {
        str(size): round(
            median(
                overlap(folder / f"overlap-{size}-{number}", tensors, size, given.seconds)
                for number in range(given.rounds)
            ),
            4,
        )
        for size in BATCH_SIZES
    }
    limits: dict[str, object] = {
        f"{dataset.kind} × {cores} cores": host_limit(
            folder, dataset, cores, given.rate or RATES, given.rounds, given.seconds
        )
        for dataset in (files, tensors)
        for cores in given.cores or _fewer_and_all()
    }
    return {"whole_over_core_by_batch_size": ratios, "host_limit": limits}


def reached(document: dict[str, dict[str, object]]) -> bool:
    """Whether every ratio reaches the aim, and every prediction is within 10 %."""
    ratios = document["whole_over_core_by_batch_size"].values()
    limits = document["host_limit"].values()
    errors = [
        abs(device["predicted_over_whole"] - 1)
        for limit in limits
        if isinstance(limit, dict)
        for device in limit["devices"].values()
    ]
    return all(isinstance(r, float) and r >= AIM for r in ratios) and max(errors) <= WITHIN


def _fewer_and_all() -> list[int]:
    threads = len(os.sched_getaffinity(0))
    return sorted({n for n in (1, 2, 4, 8, 16, 32) if n < threads} | {threads})


def main() -> int:
    """Print the document; 0 when everything reaches its aim, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=count, default=1, help="length of every loop")
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--rate", type=count, action="append", help="pictures/s of the devices")
    parser.add_argument("--cores", type=count, action="append", help="default: 1, 2, 4 … all")
    given = parser.parse_args()
    machine = {"processor": read_processor().name, "load_before": round(os.getloadavg()[0], 2)}
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        document = measured(Path(folder), given)
    found = {**machine, "item_ms": ITEM_MS, **document}
    sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return 0 if reached(document) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
