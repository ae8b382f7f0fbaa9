"""What an export takes: seconds by part, processor seconds, peak memory, and what it writes.

    make bench CASE=export [ARGS="--case vit_b_32 --count 3 --before CHECKOUT"]

Each of the three large cases (or those named) is exported with synthetic weights and nothing cached but the
environments, as a smoke run would; with CHECKOUT, another tree of this project does the same in turns. Prints
one JSON document: medians, the extremes of the wall time, ``ratio`` (now ÷ before) of each round, and whether
both wrote the same bytes. ``start`` is the interpreter's start and the end of the process, ``driver`` what the
driver adds: moving the files into the cache and their digests. Memory is that of all processes at once,
without pages of files, sampled.

Exits with 1 where a case takes longer than it should on two idle cores; other work on the machine makes it
miss.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.errors import EnvironmentFault
from driver.system.host.processor import read_processor
from driver.system.settings import ROOT, load_settings
from tests.bench.bench_loader import ratios, spread
from tests.bench.entry import ended
from tests.bench.rates import in_turns
from tests.bench.row import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIDE = Path(__file__).with_name("export_side.py")
CASES = {
    "vit_b_32": {"limit": "64"},
    "sam_h": {"limit": "3"},
    "stable_diffusion_v1_4": {"prompts": "2", "steps": "3"},
}
"""The cases, each with what the tests of full size ask for."""
BOUNDS_S = {"vit_b_32": 25.0, "sam_h": 100.0, "stable_diffusion_v1_4": 110.0}
SHARED = ("venvs", "wheelhouse", "uv-cache", "locks")
"""Folders of ASSAY_HOME that a fresh home takes over: environments are no part of an export."""
Found = dict[str, Any]


def export(tree: Path, case: str) -> Found:
    """Export a case with the code of ``tree``; EnvironmentFault where it fails."""
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as home:
        shared_home(Path(home))
        variables = {"case": case, "vendor": "cpu", "runner": "process", **CASES[case]}
        variables |= {"weights": "synthetic", "data": "synthetic"}
        # -P: the side's own folder is not searched, so that every import is the tree's.
        words = [sys.executable, "-P", str(SIDE), home, json.dumps(variables)]
        env = {**os.environ, "PYTHONPATH": str(tree)}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=env, cwd=tree)
    if done.returncode:
        raise EnvironmentFault(
            f"the export of {case} in {tree} ended with {done.returncode}: {done.stderr[-2000:]}",
            f"run it by hand there: make run CASE={case} VENDOR=cpu RUNNER=process",
        )
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def shared_home(home: Path) -> None:
    """Let a fresh home have the environments of the caller's, which are made where they are missing."""
    for name in SHARED:
        ours = load_settings().home / name
        ours.mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(ours)


def shown(samples: Sequence[Found]) -> Found:
    """Return the medians of one side's samples, and the extremes of the wall time."""
    parts = [
        {"start": one["start_s"], **one["steps_s"], "driver": one["driver_s"]} for one in samples
    ]
    return {
        "wall_s": spread([one["wall_s"] for one in samples]),
        "parts_s": {
            name: round(statistics.median(part[name] for part in parts), 2) for name in parts[0]
        },
        **{
            name: round(statistics.median(one[name] for one in samples), 1)
            for name in ("cpu_s", "peak_mib", "written_mib")
        },
        "digests": samples[0]["digests"],
    }


def document(case: str, now: Sequence[Found], before: Sequence[Found]) -> Found:
    """Return what the samples of one case show."""
    found: Found = {"within_s": BOUNDS_S[case], "now": shown(now)}
    if before:
        found["before"] = shown(before)
        for name in ("wall_s", "cpu_s", "peak_mib"):
            found[f"ratio_{name}"] = ratios([s[name] for s in now], [s[name] for s in before])
        found["same_bytes"] = {
            name: digest == before[0]["digests"][name] for name, digest in now[0]["digests"].items()
        }
    return found


def measured(case: str, rounds: int, before: Path | None) -> Found:
    """Export one case on both sides in turns."""
    trees = {"now": ROOT} | ({"before": before} if before else {})
    samples: dict[str, list[Found]] = {"now": [], "before": []}

    def once(side: str) -> float:
        samples[side].append(export(trees[side], case))
        return float(samples[side][-1]["wall_s"])

    in_turns(rounds, [partial(once, side) for side in trees])
    return document(case, samples["now"], samples["before"])


def reached(cases: Mapping[str, Found]) -> bool:
    """Whether every case is within its bound."""
    return all(one["now"]["wall_s"]["median"] <= one["within_s"] for one in cases.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when every case is within its bound, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=list(CASES), help="default: all three")
    parser.add_argument("--count", type=count, default=3, help="rounds")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="an earlier tree")
    given = parser.parse_args(arguments)
    machine = {"processor": read_processor().name, "load_before": round(os.getloadavg()[0], 2)}
    cases = {case: measured(case, given.count, given.before) for case in given.case or CASES}
    sys.stdout.write(json.dumps({**machine, "cases": cases}, indent=1, ensure_ascii=False) + "\n")
    return 0 if reached(cases) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
