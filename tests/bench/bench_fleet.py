"""What a sweep on Slurm costs beside its jobs: 200 small jobs over two nodes, and the plan of 10,000.

    make bench CASE=fleet [ARGS="--jobs 200 --planned 10000"]

Prints one JSON document; exits 1 where a bound is missed. A munged, a controller and two nodes of one task
each are started on this machine; the jobs run the real driver with scripted hooks in place of an engine.
``own_s_per_job`` is the time that a node was taken, from the first task's start to the last one's end, less
the wall time of the jobs' own stages, for each job: Slurm's start and end of a task, the driver's start,
and everything that a job does outside its stages. Both nodes share this machine's processors, and the hooks
of both run at the same time, as they would not on two hosts: the figure is an upper bound.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.catalog.catalog import load_catalog
from driver.errors import EnvironmentFault
from driver.fleet.planning import plan_sweep
from driver.plan.choice import Choice, expand
from driver.system.settings import Settings
from driver.verbs.sweep import requests
from tests.bench.entry import ended
from tests.fleet.cluster import NODES, missing, running_cluster
from tests.fleet.planted_lab import FleetLab

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_OWN_S = 1.5
MOST_PLANNING_S = 2.0
MOST_CALLS = 12
PATIENCE_S = 7200.0
LARGEST_ARRAY = 1001
"""Slurm's own default of MaxArraySize, with which the plan's calls of sbatch are counted."""


def planning(lab: FleetLab, jobs: int) -> dict[str, float]:
    """Return how long a plan of that many jobs takes, from variables to text, and its calls of sbatch."""
    settings = Settings(root=lab.tree, home=lab.folder / "home", results=lab.results)
    given = {
        "case": "tiny",
        "vendor": "acme",
        "precision": "fp32,fp16",
        "bs": ",".join(map(str, range(1, jobs // 2 + 1))),
        "data": str(lab.folder / "pictures"),
        "weights": str(lab.folder / "weights"),
    }
    catalog = load_catalog(lab.tree)
    started = time.perf_counter()
    choices = [one for one in expand(requests(given), catalog) if isinstance(one, Choice)]
    plan, tasks, text = plan_sweep(
        choices, settings, catalog, inside=None, largest_array=LARGEST_ARRAY
    )
    return {
        "jobs": sum(task.does == "job" for task in tasks),
        "seconds": round(time.perf_counter() - started, 3),
        "calls": len(plan.arrays),
        "plan_bytes": len(text),
    }


def swept(lab: FleetLab, jobs: int) -> dict[str, Any]:
    """Run a sweep of that many jobs; return what it cost, and what was lost or run twice."""
    sizes = ",".join(map(str, range(1, jobs // 2 + 1)))
    lab.settings("at_once = 40")
    started = time.perf_counter()
    done = lab.sweep("--precision", "fp32,fp16", "--bs", sizes)
    wall_s = time.perf_counter() - started
    documents: list[Any] = lab.documents()
    ran = Counter((one["job"]["precision"], one["job"]["batch_size"]) for one in documents)
    names = [path.name.split(".")[1:] for path in lab.results.glob("sweeps/ledger/*/*")]
    stages_s = sum(stage["wall_s"] for one in documents for stage in one["stages"])
    starts = [_claimed(path) for path in lab.results.glob("sweeps/ledger/*/*.ok")]
    last = max((datetime.fromisoformat(one["finished_utc"]) for one in documents), default=None)
    taken_s = (last - sorted(starts)[1]).total_seconds() * len(NODES) if last else 0.0
    return {
        "jobs": jobs,
        "exit_code": done.returncode,
        "seconds": round(wall_s, 1),
        "stages_s_per_job": round(stages_s / jobs, 3),
        "own_s_per_job": round((taken_s - stages_s) / jobs, 3),
        "lost": jobs - len(ran),
        "twice": sum(count - 1 for count in ran.values()),
        "second_attempts": sum(attempt != "1" for attempt, _ in names),
    }


def _claimed(path: Path) -> datetime:
    line = path.read_text(encoding="utf-8").splitlines()[0]
    return datetime.fromisoformat(json.loads(line)["since_utc"])


def bench(arguments: Sequence[str]) -> int:
    """Run both parts and print them; return 1 where a bound is missed."""
    parser = argparse.ArgumentParser(prog="make bench CASE=fleet")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--planned", type=int, default=10_000)
    given = parser.parse_args(arguments)
    if lacking := missing():
        raise EnvironmentFault(
            f"this machine lacks {', '.join(lacking)}", "apt-get install slurm-wlm munge"
        )
    with running_cluster() as cluster, tempfile.TemporaryDirectory(prefix="assay-fleet-") as folder:
        lab = FleetLab(Path(folder), cluster, PATIENCE_S)
        lab.plant()
        planned = planning(lab, given.planned)
        run = swept(lab, given.jobs)
    bounds = {
        "own_s_per_job": run["own_s_per_job"] <= MOST_OWN_S,
        "nothing_lost": run["lost"] == 0 and run["exit_code"] == 0,
        "nothing_twice": run["twice"] == 0 and run["second_attempts"] == 0,
        "planning": planned["seconds"] <= MOST_PLANNING_S,
        "calls": planned["calls"] <= MOST_CALLS,
    }
    document = {"sweep": run, "planning": planned, "bounds": bounds}
    print(json.dumps(document, indent=1))
    return 0 if all(bounds.values()) else 1


if __name__ == "__main__":
    sys.exit(ended(lambda: bench(sys.argv[1:])))
