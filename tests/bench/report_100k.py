"""Makes a tree of varied results to measure `make report` with: 100,000 of them take about 3 GB.

    python -m tests.bench.report_100k FOLDER [--count 100000] [--no-samples] [--seed 0]

Every figure is drawn from a model of a chip (peak, saturation over the batch size, noise), so that
tables and charts look as they would; every result says that it is simulated, unless `--as-real` is given,
which the benchmark needs, since simulated rows are left out of a report.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests import documents
from tests.bench.entry import ended, writable
from tests.bench.row import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CASES = {
    "vit_l_16": 900.0,
    "vit_b_32": 4200.0,
    "regnety_016": 2600.0,
    "sam": 9.0,
    "vit_digits": 9e3,
}
CHIPS = {
    "nvidia": (("A100-SXM4-40GB", 1.0, 40.0), ("T4", 0.25, 16.0)),
    "kunlunxin": (("R200-8F", 0.45, 32.0),),
    "ascend": (("310", 0.12, 8.0), ("310P", 0.3, 21.0)),
    "intel": (("Xeon-8480", 0.08, 512.0),),
    "cpu": (("x86-64", 0.03, 64.0),),
}
ENGINES = {
    "nvidia": ("cuda12.1-trt8.6", ("tensorrt", "inductor", "eager")),
    "kunlunxin": ("xpu-xtcl2.0", ("xtcl",)),
    "ascend": ("cann5.1", ("cann",)),
    "intel": ("openvino2024.0", ("openvino", "onnxruntime")),
    "cpu": ("onnxruntime1.17", ("onnxruntime", "eager")),
}
PRECISIONS = {"fp32": 1.0, "fp16": 2.1, "bf16": 2.0, "int8": 3.4}
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


def generate(
    root: Path,
    count: int,
    *,
    first: int = 0,
    samples: bool = True,
    seed: int = 0,
    as_real: bool = True,
) -> Iterator[Path]:
    """Write ``count`` results below ``root`` one after the other, from number ``first``; yields each result.json."""
    rng = np.random.default_rng(seed)
    for number in range(first, first + count):
        body = _result(rng, number, simulated=not as_real)
        if not samples:
            yield documents.write(root, documents.document(**body))
            continue
        call_ns = body["metrics"]["latency_ms"]["p50"] * 1e6
        drawn = {
            "core": _times(rng, call_ns * 0.8, 1000),
            "whole": _times(rng, call_ns * 1.2, 1000),
            "latency": _times(rng, call_ns, 1000),
        }
        yield documents.with_samples(root, drawn, **body)[0]


def _times(rng: np.random.Generator, centre_ns: float, count: int) -> NDArray[np.int64]:
    return np.asarray(centre_ns * (0.95 + rng.gamma(2.0, 0.03, size=count)), dtype=np.int64)


def _result(rng: np.random.Generator, number: int, *, simulated: bool) -> dict[str, Any]:
    key, speed, memory_gib = _job(rng, number)
    batch_size = key["batch_size"]
    core = speed * batch_size / (batch_size + 6) * float(rng.normal(1, 0.02))
    call_ms = batch_size / core * 1e3
    values = [core * float(rng.normal(1, 0.01)) for _ in range(3)]
    failed = number % 97 == 13
    accuracy = float(rng.normal(79.0, 0.2)) - (9.0 if failed else 0.0)
    shares = {what: wall * float(rng.uniform(0.5, 1.5)) for what, wall in documents.SHARES.items()}
    started = _utc(number)
    return {
        "job": key,
        "status": "accuracy_failed" if failed else "ok",
        "simulated": simulated,
        "weights": "synthetic" if number % 11 == 3 else "published",
        "started_utc": started,
        "finished_utc": started.replace("Z", "z").upper(),
        "metrics": documents.metrics(
            core,
            e2e_time_s=sum(shares.values()),
            acc_infer=accuracy,
            mfu=min(95.0, 4.0 + 40.0 * float(rng.random())),
            mem_gib=memory_gib * float(rng.uniform(0.2, 0.9)),
            mem_total_gib=memory_gib,
            latency_ms={
                "p50": call_ms,
                "p90": call_ms * 1.1,
                "p99": call_ms * 1.3,
                "max": call_ms * 2,
                "samples": 1000,
            },
            spread={
                "p_infer_core": {
                    "values": values,
                    "median": float(np.median(values)),
                    "cv": float(np.std(values, ddof=1) / np.mean(values)),
                }
            },
        ),
        "gate": {
            "passed": not failed,
            "reference": 79.3,
            "allowed_relative_drop": 0.01,
            "drop": (79.3 - accuracy) / 79.3,
            "reason": f"acc1 {accuracy:.2f} against 79.30",
        },
        "time_shares": [{"what": what, "wall_s": wall} for what, wall in shares.items()],
        "monitor": _monitor(rng, memory_gib),
        "provenance": {
            **documents.provenance(key),
            "engine_file": {"sha256": documents.sha("engine", number)},
        },
    }


def _job(rng: np.random.Generator, number: int) -> tuple[dict[str, Any], float, float]:
    case = list(CASES)[number % len(CASES)]
    vendor = list(CHIPS)[int(rng.integers(len(CHIPS)))]
    chip, relative, memory_gib = CHIPS[vendor][int(rng.integers(len(CHIPS[vendor])))]
    stack, engines = ENGINES[vendor]
    engine = engines[int(rng.integers(len(engines)))]
    precision = list(PRECISIONS)[int(rng.integers(len(PRECISIONS)))]
    key = documents.job(
        case=case,
        vendor=vendor,
        stack=stack,
        engine=engine,
        chip=chip,
        precision=precision,
        batch_size=BATCH_SIZES[int(rng.integers(len(BATCH_SIZES)))],
    )
    slow = {"eager": 0.5, "inductor": 0.7}.get(engine, 1.0)
    return key, CASES[case] * relative * PRECISIONS[precision] * slow, memory_gib


def _utc(number: int) -> str:
    stamp = np.datetime64("2024-01-01T00:00:00") + np.timedelta64(number * 61, "s")
    return f"{stamp}Z"


def _monitor(rng: np.random.Generator, memory_gib: float) -> dict[str, Any]:
    samples = []
    for second in range(20):
        share = min(1.0, second / 5)
        reading = {
            "device": "0",
            "memory_used_bytes": int(memory_gib * share * 0.7 * 2**30),
            "power_w": round(60.0 + 200.0 * share + float(rng.normal(0, 4)), 2),
            "temperature_c": 40.0 + share * 20,
        }
        samples.append({"t_s": float(second), "devices": [reading]})
    return {"parser": "generated", "interval_s": 1.0, "simulated": False, "samples": samples}


def main(arguments: list[str] | None = None) -> int:
    """Make the tree and say how far it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=count, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-samples", action="store_true")
    parser.add_argument("--as-real", action="store_true")
    options = parser.parse_args(arguments)
    writable(options.folder)
    made = generate(
        options.folder,
        options.count,
        samples=not options.no_samples,
        seed=options.seed,
        as_real=options.as_real,
    )
    for number, _ in enumerate(made, start=1):
        if number % 10_000 == 0:
            sys.stderr.write(f"{number} results\n")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
