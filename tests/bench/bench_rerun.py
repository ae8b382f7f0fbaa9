"""What `rerun` adds to the run itself, and `verify RESULT=` beside hashing: seconds, not ratios.

    make bench CASE=rerun [ARGS="--rounds 5 --folder DIR"]

Prints one JSON document; exits 1 where a bound is missed. Each round runs vit_digits on the CPU (smoke,
process runner), reruns its result, and verifies it, each as a process of its own, imports included.
``rerun_added_s`` is the median of (rerun − its stages) − (run − its stages): everything outside of the
stages that a rerun does and a run does not. ``verify_s`` is the median of verifications whose wheels and
models were hashed before, so that only the result's own files are. Other work on the machine is in both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import EXIT_INCONCLUSIVE, EXIT_NOT_REPRODUCED, EXIT_OK
from driver.system.settings import ROOT
from tests.bench.entry import ended, writable
from tests.bench.row import count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MOST_S = 1.0
JOB = ("--case", "vit_digits", "--vendor", "cpu", "--tier", "smoke", "--runner", "process")
JUDGED = (EXIT_OK, EXIT_NOT_REPRODUCED, EXIT_INCONCLUSIVE)


def timed(words: Sequence[str], out: Path, codes: Collection[int] = (EXIT_OK,)) -> float:
    """Run the driver with results in ``out``; return its seconds. CalledProcessError for another code."""
    started = time.perf_counter()
    done = subprocess.run(
        [str(ROOT / "driver" / "assay"), *words],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OUT": str(out)},
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode not in codes:
        raise subprocess.CalledProcessError(done.returncode, words)
    return seconds


def outside_stages(seconds: float, result: Path) -> float:
    """Return the seconds of a driver's process that no stage of its result took."""
    stages = json.loads(result.read_text(encoding="utf-8"))["stages"]
    return seconds - sum(float(stage["wall_s"] or 0) for stage in stages)


def measure_round(folder: Path) -> dict[str, float]:
    """Run, rerun and verify once, with results below the new ``folder``; return seconds of each."""
    run_s = timed(["run", *JOB], folder / "run")
    (ours,) = (folder / "run").rglob("result.json")
    rerun_s = timed(["rerun", "--result", str(ours)], folder / "rerun", JUDGED)
    (theirs,) = (folder / "rerun").rglob("result.json")
    found = {
        "run_outside_s": outside_stages(run_s, ours),
        "rerun_outside_s": outside_stages(rerun_s, theirs),
        "verify_s": timed(["verify", "--result", str(ours)], folder),
    }
    return {**found, "rerun_added_s": found["rerun_outside_s"] - found["run_outside_s"]}


def missed(found: dict[str, float]) -> list[str]:
    """Return the names of figures that miss their bound of a second."""
    return [name for name in ("rerun_added_s", "verify_s") if found[name] > MOST_S]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the document, and return 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description="rerun against run, and verify")
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument(
        "--folder", type=Path, default=None, help="for the results, removed afterwards"
    )
    asked = parser.parse_args(arguments)
    if asked.folder is not None:
        writable(asked.folder)
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="assay-bench-") as folder:
        # The first round makes environments, the exported model and the digests of wheels.
        measure_round(Path(folder) / "warm")
        rounds = [measure_round(Path(folder) / str(number)) for number in range(asked.rounds)]
    found = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    late = missed(found)
    rounded = {name: round(value, 3) for name, value in found.items()}
    print(json.dumps({"rounds": asked.rounds, **rounded, "missed": late}, indent=1))
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(ended(main))
