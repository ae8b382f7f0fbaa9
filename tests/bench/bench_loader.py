"""The input pipeline beside plain Pillow, torchvision's DataLoader and DALI on the processor: rates, scaling, equal bits.

    make bench CASE=loader [ARGS="--pairs 5 --seconds 3 --workers 1 --workers 2 --torchvision PYTHON --dali PYTHON
                                  --before CHECKOUT"]

Generated JPEGs of 500 × 375 with the constants of vit_b_32 (resize 248, bicubic, crop 224). Every side and
number of workers is a process of its own, in turns; medians of the pairs, in brackets the extremes. PYTHON is
an interpreter that has torch and torchvision, or NVIDIA's DALI and Pillow, CHECKOUT another tree of this project,
whose loader is then a side; what is not named is left out.

Prints one JSON document. ``scaling`` is the rate of n workers ÷ (n × the rate of one), which other work on
the machine lowers; processor time per picture hardly depends on it. Exits with 1 if one worker is not twice as
fast as plain Pillow or n workers are below 0.9 × n; with an error if a bit of any side's tensors differs. DALI's
may, by the mean difference of the worst batch, ``dali_differs_by`` (in the unit of the normalised values: ``std`` of
the constants), up to MOST_OFF.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import AssayError, EnvironmentFault
from driver.system.host.processor import read_processor
from driver.system.settings import ROOT
from tests.bench.entry import ended
from tests.bench.rates import in_turns
from tests.bench.row import count
from tests.harness.job_folder import write_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIDE = Path(__file__).with_name("loader_side.py")
CONSTANTS = {
    "resize": 248,
    "crop": 224,
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
PICTURES, ITEMS, BATCH_SIZE, QUALITY = 64, 40_000, 32, 92
AIM_OVER_PILLOW, AIM_SCALING = 2.0, 0.9
NEEDED = {
    "torchvision": "torch, torchvision, numpy and Pillow",
    "dali": "nvidia-dali-cuda130 or -cuda120, numpy and Pillow",
    "before": "a loader (vendor_hooks/harness/inputs/batch_loader.py)",
}
OWN_BITS = "dali"
"""The side that resizes by its own arithmetic."""
MOST_OFF = 0.003
"""Measured: 0.0014. Bilinear has 0.0064, Lanczos 0.0049, a mean of 0.48 in the place of 0.5 some 0.04."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one process of one side printed."""

    pictures: int
    wall_s: float
    cpu_s: float
    faults: int
    sha256: str
    off: float = 0.0
    """Mean absolute difference of normalised values from the first batches of this project's loader, of OWN_BITS alone."""

    @property
    def rate(self) -> float:
        """Pictures a second."""
        return self.pictures / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """Processor milliseconds a picture, of this process and not of its workers'."""
        return 1e3 * self.cpu_s / self.pictures


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every side runs on."""

    dataset: Path
    seconds: int
    torchvision: str | None = None
    dali: str | None = None
    before: Path | None = None

    def run(self, side: str, workers: int) -> Sample:
        """Run one side in a process of its own; EnvironmentFault where it fails."""
        python = {"torchvision": self.torchvision, "dali": self.dali}.get(side, sys.executable)
        tree = self.before if side == "before" and self.before else ROOT
        program = "assay" if side == "before" else side
        words = [python or "", str(SIDE), program, str(tree / "vendor_hooks"), str(self.dataset)]
        words += [str(workers), str(self.seconds), str(BATCH_SIZE), json.dumps(CONSTANTS)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EnvironmentFault(
                f"the side {side} ended with {done.returncode}: {done.stderr[-2000:]}",
                f"leave --{side} out, or name a Python that has {NEEDED[side]}"
                if side in NEEDED
                else "this is a defect: report it",
            )
        return Sample(**json.loads(done.stdout.splitlines()[-1]))


def write_pictures(folder: Path, number: int = PICTURES) -> None:
    """Write a dataset of generated JPEGs, three of four wide, the fourth tall."""
    # Imported here: the harness is on the path of the guest alone.
    from PIL import Image

    from tests.harness.modules import generated_pictures

    payloads = []
    for place in range(number):
        size = (500, 375) if place % 4 else (375, 500)
        stream = BytesIO()
        picture = Image.fromarray(generated_pictures.picture(1, place, *size))
        picture.save(stream, "JPEG", quality=QUALITY)
        payloads.append(stream.getvalue())
    write_files(folder, payloads)
    repeat(folder, ITEMS)


def repeat(folder: Path, items: int) -> None:
    """Let a dataset's index name its items over and over, ``items`` times in all."""
    path = folder / "index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    few = index["items"]
    index["items"] = [few[n % len(few)] | {"id": f"{n:06d}"} for n in range(items)]
    index["count"] = items
    path.write_text(json.dumps(index), encoding="utf-8")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median and the extremes."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def ratios(over: Sequence[float], under: Sequence[float]) -> dict[str, float]:
    """Return the spread of the pairs' ratios."""
    return spread([a / b for a, b in zip(over, under, strict=True)])


def document(found: Mapping[tuple[str, int], Sequence[Sample]]) -> dict[str, object]:
    """Return what the samples show; AssayError if two sides' tensors differ in a bit, or DALI's by more than MOST_OFF."""
    every = [(side, sample) for (side, _), samples in found.items() for sample in samples]
    digests = {(side, sample.sha256) for side, sample in every if side != OWN_BITS}
    if len({digest for _, digest in digests}) > 1:
        raise AssayError(
            f"the sides' tensors differ: {sorted(digests)}", "this is a defect: report it"
        )
    off = [sample.off for side, sample in every if side == OWN_BITS]
    # Not a number is not near.
    if not all(one <= MOST_OFF for one in off):
        raise AssayError(
            f"{OWN_BITS} prepares something else: its tensors differ by {max(off):.3f} on average",
            "this is a defect: report it",
        )
    rates = {key: [sample.rate for sample in samples] for key, samples in found.items()}
    cpu = {key: [sample.cpu_ms for sample in samples] for key, samples in found.items()}
    fewest = min(workers for _, workers in found)
    others = sorted({side for side, _ in found} - {"assay"})
    return {
        "sides": {
            f"{side} × {workers}": {
                "pictures_per_s": spread(rates[side, workers]),
                "cpu_ms_per_picture": spread(cpu[side, workers]),
                "faults_per_picture": round(
                    statistics.median(one.faults / one.pictures for one in samples), 1
                ),
            }
            for (side, workers), samples in found.items()
        },
        "assay_over": {
            side: {str(n): ratios(rates["assay", n], rates[side, n]) for s, n in found if s == side}
            for side in others
        },
        "assay_over_pillow_by_cpu": ratios(cpu["pillow", fewest], cpu["assay", fewest]),
        "scaling": {
            side: {
                str(n): ratios(rates[side, n], [n / fewest * rate for rate in rates[side, fewest]])
                for s, n in found
                if s == side and n > fewest
            }
            for side in ("assay", *others)
        },
        "bits": "equal",
        **({f"{OWN_BITS}_differs_by": round(max(off), 4)} if off else {}),
    }


def reached(shown: Mapping[str, object]) -> bool:
    """Whether one worker is twice plain Pillow, and n workers are 0.9 × n."""
    by_cpu, scaling = shown["assay_over_pillow_by_cpu"], shown["scaling"]
    assert isinstance(by_cpu, dict)
    assert isinstance(scaling, dict)
    scaled = [one["median"] >= AIM_SCALING for one in scaling["assay"].values()]
    return bool(by_cpu["median"] >= AIM_OVER_PILLOW and all(scaled))


def measured(
    bench: Bench, pairs: int, workers: Sequence[int]
) -> dict[tuple[str, int], list[Sample]]:
    """Run every side with every number of workers, in turns."""
    optional = {"torchvision": bench.torchvision, "dali": bench.dali, "before": bench.before}
    sides = ("assay", "pillow", *(side for side, given in optional.items() if given))
    found: dict[tuple[str, int], list[Sample]] = {(s, n): [] for n in workers for s in sides}

    def once(key: tuple[str, int]) -> float:
        found[key].append(bench.run(*key))
        return found[key][-1].rate

    in_turns(pairs, [partial(once, key) for key in found])
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when both aims are reached, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=count, default=5)
    parser.add_argument("--seconds", type=count, default=3, help="length of every timed run")
    parser.add_argument("--workers", type=count, action="append", help="default: 1, 2, 4 … threads")
    parser.add_argument("--torchvision", metavar="PYTHON", help="what has torch and torchvision")
    parser.add_argument("--dali", metavar="PYTHON", help="what has NVIDIA's DALI")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="an earlier tree's loader")
    given = parser.parse_args(arguments)
    processor = read_processor()
    workers = given.workers or [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= processor.threads]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        write_pictures(Path(folder))
        bench = Bench(
            dataset=Path(folder),
            seconds=given.seconds,
            torchvision=given.torchvision,
            dali=given.dali,
            before=given.before,
        )
        shown = document(measured(bench, given.pairs, sorted(set(workers))))
    machine = {"processor": processor.name, "load_before": round(load, 2)}
    left_out = [side for side in ("torchvision", "dali") if not getattr(given, side)]
    if left_out:
        machine["left_out"] = " ".join(
            f"{side}: --{side} PYTHON names a Python that has it." for side in left_out
        )
    sys.stdout.write(json.dumps({**machine, **shown}, indent=1, ensure_ascii=False) + "\n")
    return 0 if reached(shown) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
