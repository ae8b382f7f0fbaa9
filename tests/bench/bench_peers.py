"""Sets p_infer_core of two engines against optimum-benchmark, on the same weights in the same run.

    python -m tests.bench.bench_peers [--row CASE:PRECISION:BS]… [--pairs 5] [--seconds 10]

Per row and engine (cpu's `eager` and its backend pytorch, intel's `openvino` and its backend of that
name), in turns: an ordinary job of ours, optimum-benchmark within its own process, and as it is by default,
in a process that it starts and waits for. It gets the folder of weights that our export wrote, as many
threads as our job reads back, the same batch size and precision; everything else is its default. Its
environment is of its own (tests/bench/peers): the same torch and OpenVINO, an older transformers. Its rate
is the batch size ÷ mean time of a call with the same tensors each time; ours includes inputs that change.

Figures are medians of the rounds, with the slowest and the fastest, and ratios those of medians; wall times
are of the whole command, ours without and with its export. Nothing is promised. Exits with 0.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench import optimum
from tests.bench.entry import ended
from tests.bench.jobs import (
    catalog_of_the_tree,
    caveats,
    changing,
    effective,
    look,
    open_bench,
    rate,
)
from tests.bench.rates import in_turns
from tests.bench.row import Row, arguments_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driver.catalog.catalog import Catalog
    from driver.models.result import Result
    from driver.plan.choice import Choice
    from tests.bench.jobs import Bench
    from tests.bench.rates import Rates

ROWS = ("vit_b_32:fp32:8", "resnet_50:fp32:8", "bert_large:fp32:4")
LAUNCHERS = ("inline", "process")
"""Of optimum-benchmark; `process` is its default, and waits for its process in a busy loop."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Our job of a row, looked up before anything is measured, and what each side took and needed."""

    choice: Choice
    seconds: int
    results: list[Result] = field(default_factory=list)
    walls_s: dict[str, list[float]] = field(default_factory=dict)
    lines: set[int] = field(default_factory=set)

    def ours(self, bench: Bench) -> float:
        """Run our job."""
        self.results.append(bench.run(self.choice))
        return rate(self.results[-1])

    def theirs(self, bench: Bench, launcher: str) -> float:
        """Run optimum-benchmark with as many threads as our last job had."""
        threads = effective(self.results[-1])["threads"]
        assert isinstance(threads, int)
        found, lines = optimum.measure(
            bench, self.choice, threads=threads, seconds=self.seconds, launcher=launcher
        )
        self.lines.add(lines)
        return found

    def timed(self, name: str, side: Callable[[], float]) -> Callable[[], float]:
        """Return ``side``, which then also records its wall time under ``name``."""

        def run() -> float:
            started = time.monotonic()
            found = side()
            self.walls_s.setdefault(name, []).append(time.monotonic() - started)
            return found

        return run


def compare(bench: Bench, sides: Sides, pairs: int) -> None:
    """Measure the programs of one row in turns and print it."""
    programs = [sides.timed("ours", lambda: sides.ours(bench))]
    for launcher in LAUNCHERS:
        run = sides.timed(launcher, lambda name=launcher: sides.theirs(bench, name))  # type: ignore[misc]
        programs.append(run)
    ours, *theirs = in_turns(pairs, programs)
    choice = sides.choice
    print(
        f"{choice.case.name} {choice.engine_name} {choice.precision_name} bs {choice.batch_size}: {ours}; "
        f"{pairs} rounds, load {os.getloadavg()[0]:.1f}{changing(sides.results)}"
        f"{caveats(sides.results)}",
        flush=True,
    )
    for launcher, found in zip(LAUNCHERS, theirs, strict=True):
        print(
            f"  optimum-benchmark, launcher {launcher}: {found}, {ratio(ours, found)}", flush=True
        )
    print(f"  {walls(sides.walls_s)}; {configurations(choice, sides.lines)}", flush=True)


def ratio(ours: Rates, theirs: Rates) -> str:
    """Return how many times theirs ours is, with the extremes of a round, and whether that shows a difference."""
    low, high = ours.pairwise(theirs)
    said = "within the noise" if low <= 1 <= high else "differs in every round"
    if len(ours.values) == 1:
        said = "a single round shows no noise"
    return f"ours is {ours.times(theirs):.3f} times that ({low:.3f}–{high:.3f}): {said}"


def walls(walls_s: dict[str, list[float]]) -> str:
    """Return the wall time of each command; our first one exports, unless an earlier run did."""
    ours = walls_s["ours"]
    later = f", later {statistics.median(ours[1:]):.0f} s" if ours[1:] else ""
    others = ", ".join(
        f"{name} {statistics.median(walls_s[name]):.0f} s" for name in LAUNCHERS if name in walls_s
    )
    return f"wall time ours first {ours[0]:.0f} s{later}; theirs {others}"


def configurations(choice: Choice, lines: set[int]) -> str:
    """Return how much a user writes for each: ours is a command, once there is the case."""
    case = sum(
        bool(line.strip())
        for path in sorted(choice.case.folder.iterdir())
        if path.suffix == ".py" or path.name == "case.toml"
        for line in path.read_text(encoding="utf-8").splitlines()
    )
    theirs = ", ".join(map(str, sorted(lines)))
    return f"configuration ours 1 line (and {case} of the case), theirs {theirs} lines"


def sides_of(row: Row, catalog: Catalog, seconds: int) -> list[Sides]:
    """Return the comparisons of a row, one for each engine."""
    return [
        Sides(choice=look(row.request(vendor, engine), catalog, seconds), seconds=seconds)
        for vendor, engine in optimum.BACKENDS
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare all rows."""
    given = arguments_of(ROWS, __doc__).parse_args(arguments)
    catalog = catalog_of_the_tree()
    rows = [
        sides
        for row in given.row or map(Row.parse, ROWS)
        for sides in sides_of(row, catalog, given.seconds)
    ]
    with open_bench(catalog) as bench:
        for sides in rows:
            compare(bench, sides, given.pairs)
    return 0


if __name__ == "__main__":
    sys.exit(ended(main))
