"""A cold and a warm `make run`, and where each second goes.

    make bench CASE=cold [ARGS="--count 3 --folder DIR"]

Each round copies this checkout as it is (committed or not) to a fresh folder, with an empty home and an
empty pip cache, and runs `make run` there twice: cold, then with everything made. The first round's
progress lines are printed with the seconds until the next one. Then one JSON document: the medians of
both, by part, and of `make list`. The parts add up to the wall time; ``rest`` is what no part claims: the
shell, the driver's start, its report on the terminal. An environment's part ends when it is marked
complete. Rounds differ by the host's state (the first touch of memory, other work): see ``load_average``,
and ``cpu_s``, the processor seconds of all processes, which other work disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.errors import EnvironmentFault
from driver.system.settings import ROOT
from tests.bench.entry import ended, writable
from tests.bench.row import count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "USER")
"""What a run is given of the caller's environment, with pip's and the network's settings (below)."""
KEPT_PREFIXES = ("PIP_", "SSL_", "OPENBLAS_")
LINE_CHARACTERS = 78


@dataclass(frozen=True, kw_only=True)
class Step:
    """A progress line, and the seconds until the next one or the end."""

    wall_s: float
    line: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """One `make run`: its wall seconds by part, its processor seconds, and its progress lines."""

    wall_s: float
    cpu_s: float
    parts: Mapping[str, float]
    steps: tuple[Step, ...]


def copy_tree(source: Path, target: Path) -> None:
    """Copy the files that git knows or would add, as they are now, to an empty folder."""
    words = ["git", "-C", str(source), "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def environment(cache: Path) -> dict[str, str]:
    """Return a run's environment: pip's settings and the proxies of the caller, no variable of make's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT or name.startswith(KEPT_PREFIXES) or name.lower().endswith("_proxy")
    }
    return kept | {"XDG_CACHE_HOME": str(cache)}


def make(tree: Path, target: str, env: Mapping[str, str]) -> tuple[float, float, tuple[Step, ...]]:
    """Run ``make TARGET``; return the clock at its start, its wall seconds, and its lines in time.

    Raises EnvironmentFault, with the last lines, where it fails.
    """
    began, started = time.time(), time.perf_counter()
    seen: list[tuple[float, str]] = []
    with subprocess.Popen(
        ["make", target],
        cwd=tree,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            seen.append((time.perf_counter() - started, line.rstrip()))
    wall_s = time.perf_counter() - started
    if child.returncode != 0:
        last = "\n".join(line for _, line in seen[-5:])
        raise EnvironmentFault(
            f"make {target} ended with {child.returncode}:\n{last}", f"run it by hand in {tree}"
        )
    ends = [*(at for at, _ in seen[1:]), wall_s]
    steps = tuple(
        Step(wall_s=end - at, line=line) for (at, line), end in zip(seen, ends, strict=True)
    )
    return began, wall_s, steps


def run_once(tree: Path, env: Mapping[str, str]) -> Run:
    """Run the default job in ``tree`` and return where its time went."""
    before_s = children_s()
    began, wall_s, steps = make(tree, "run", env)
    cpu_s = children_s() - before_s
    newest = max(tree.glob("results/*/*/*/*/result.json"), key=lambda path: path.stat().st_mtime)
    result = json.loads(newest.read_text(encoding="utf-8"))
    shares = {row["what"]: float(row["wall_s"]) for row in result["time_shares"]}
    parts = split(began, shares, marks(tree / ".assay" / "venvs", since=began))
    parts |= {"rest": wall_s - sum(parts.values())}
    return Run(wall_s=wall_s, cpu_s=cpu_s, parts=parts, steps=steps)


def children_s() -> float:
    """Return the processor seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def marks(venvs: Path, *, since: float) -> dict[str, float]:
    """Return environment → when it was marked complete, in that order: those made after ``since``."""
    paths = [*venvs.glob("driver-*/.complete"), *venvs.glob("*/assay.json")]
    times = {path.parent.name.rpartition("-")[0]: path.stat().st_mtime for path in paths}
    return {name: at for name, at in sorted(times.items(), key=lambda one: one[1]) if at > since}


def split(began: float, shares: Mapping[str, float], made: Mapping[str, float]) -> dict[str, float]:
    """Return part → wall seconds, from a result's shares and the times at which environments were marked.

    The driver's environment is made before the job; the stacks' share one row of the job.
    """
    parts: dict[str, float] = {}
    stacks = dict(made)
    if "driver" in stacks:
        parts["environment driver"] = stacks.pop("driver") - began
    left = shares.get("environments", 0.0)
    # Of the last ones the beginning is the end of the one before; the first has what is left.
    pairs = list(zip(stacks.items(), list(stacks.items())[1:], strict=False))
    later = {name: at - before for (_, before), (name, at) in pairs}
    for name in stacks:
        parts[f"environment {name}"] = later.get(name, left - sum(later.values()))
    parts |= {
        what: wall for what, wall in shares.items() if not (stacks and what == "environments")
    }
    return parts


def medians(runs: Iterable[Run]) -> dict[str, Any]:
    """Return the median wall time, all wall times, and the median of each part."""
    found = list(runs)
    names = list(dict.fromkeys(name for run in found for name in run.parts))
    return {
        "wall_s": statistics.median(run.wall_s for run in found),
        "all_wall_s": [round(run.wall_s, 2) for run in found],
        "cpu_s": statistics.median(run.cpu_s for run in found),
        "parts_s": {
            name: round(statistics.median(run.parts.get(name, 0.0) for run in found), 2)
            for name in names
        },
    }


def show(title: str, run: Run) -> None:
    """Print the progress lines of a run with the seconds that each took, those over a tenth."""
    lines = [f"{step.wall_s:7.2f}  {step.line[:LINE_CHARACTERS]}" for step in run.steps]
    kept = [line for line, step in zip(lines, run.steps, strict=True) if step.wall_s >= 0.1]
    sys.stderr.write("\n".join([f"{title}: {run.wall_s:.2f} s", *kept]) + "\n")


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """Run all rounds in folders of their own below ``folder``, which are removed at the end."""
    cold, warm, listed = [], [], []
    load = []
    trees = [folder / f"round-{number}" for number in range(rounds)]
    for number, tree in enumerate(trees):
        # Folders of earlier rounds stay until the end: freeing gigabytes slows what is measured.
        tree.mkdir()
        copy_tree(ROOT, tree)
        env = environment(tree / ".cache")
        load.append(round(os.getloadavg()[0], 2))
        cold.append(run_once(tree, env))
        warm.append(run_once(tree, env))
        listed += [make(tree, "list", env)[1] for _ in range(3)]
        if number == 0:
            show("cold", cold[0])
            show("warm", warm[0])
    for tree in trees:
        shutil.rmtree(tree)
    return {
        "cold": medians(cold),
        "warm": medians(warm),
        "list_s": round(statistics.median(listed), 2),
        "load_average": load,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=count, default=3, help="rounds, of 3 GB each")
    parser.add_argument("--folder", type=Path, help="where; without it a temporary one is removed")
    options = parser.parse_args(arguments)
    if options.folder is not None:
        writable(options.folder)
    with tempfile.TemporaryDirectory(prefix="assay-bench-", dir=options.folder) as temporary:
        found = measure(Path(temporary), options.count)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
