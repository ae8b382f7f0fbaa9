"""Sets p_infer_core of vendor intel against OpenVINO's own benchmark_app, and against eager fp32.

    python -m tests.bench.bench_openvino [--row CASE:PRECISION:BS]… [--pairs 5] [--seconds 10]

One row: an ordinary job of intel (its own process, hook and harness), benchmark_app on the very ONNX
file that the job ran on, and eager fp32 on the same processor with the same batch size, in turns.
benchmark_app runs with the same precision, threads, streams and fixed batch, read back from both sides.
Figures are medians of the pairs, with the slowest and the fastest, and ratios those of medians: against
benchmark_app at least 0.98 is asked for, and vit_b_32:bf16:32 at least 4 times eager fp32. A row in
which another precision ran than it is named after reaches nothing. benchmark_app warms up by one
inference, ours to a steady state, both outside the clock; the longer the loop, the less that is. A
machine that others use gives what it gives, so the load is printed beside it.

Exits with 0 when every row reaches its goals, with 1 when one does not.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from driver.system.host.machine import describe_host
from tests.bench import benchmark_app
from tests.bench.entry import ended
from tests.bench.jobs import (
    NotComparable,
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
    from collections.abc import Sequence

    from driver.models.result import Result
    from driver.plan.choice import Choice
    from tests.bench.jobs import Bench
    from tests.bench.rates import Rates

ROWS = ("vit_b_32:bf16:1", "vit_b_32:bf16:32", "regnety_016:bf16:32", "vit_l_16:bf16:8")
"""What the suite promises: `intel` on these, each at least GOAL of benchmark_app."""

GOAL = 0.98
EAGER_GOALS = {"vit_b_32:bf16:32": 4.0}
"""Row → how many times eager fp32 with the same batch size it is to be."""

TELLING_FLAGS = ("amx_bf16", "avx512_bf16", "avx512f")


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The jobs of one row, looked up before anything is measured; ``eager`` where it is wanted."""

    row: Row
    intel: Choice
    eager: Choice | None
    seconds: int
    results: list[Result] = field(default_factory=list)

    def ours(self, bench: Bench) -> float:
        """Run our job."""
        self.results.append(bench.run(self.intel))
        return rate(self.results[-1])

    def theirs(self, bench: Bench) -> float:
        """Run benchmark_app as our last job ran."""
        found = effective(self.results[-1])
        ours = benchmark_app.settings_in_force(found, self.row.batch_size)
        value, settings = benchmark_app.measure(bench, self.intel, ours.threads, self.seconds)
        benchmark_app.require_same(ours, settings)
        return value

    def fp32(self, bench: Bench) -> float:
        """Run eager fp32, with as many threads."""
        assert self.eager is not None
        result = bench.run(self.eager)
        threads = effective(result)["threads"], effective(self.results[-1])["threads"]
        if threads[0] != threads[1]:
            raise NotComparable(
                f"eager ran with {threads[0]} threads, OpenVINO with {threads[1]}",
                "find out what limits one of them on this machine",
            )
        return rate(result)

    @property
    def ran(self) -> str:
        """The precision in which the computing nodes ran; of several runs the one that is not asked for."""
        found = {benchmark_app.precision_that_ran(effective(result)) for result in self.results}
        return next(iter(sorted(found - {self.row.precision})), self.row.precision)


def compare(bench: Bench, sides: Sides, pairs: int) -> bool:
    """Measure the programs of one row in turns, print it; return whether it reaches its goals."""
    programs = [lambda: sides.ours(bench), lambda: sides.theirs(bench)]
    if sides.eager is not None:
        programs.append(lambda: sides.fp32(bench))
    ours, theirs, *eager = in_turns(pairs, programs)
    row, ran = sides.row, sides.ran
    low, high = ours.pairwise(theirs)
    text, reached = verdict(ours.times(theirs), GOAL, row.precision, ran)
    print(
        f"{row.case} {row.precision} bs {row.batch_size}: {ours}, benchmark_app {theirs}, "
        f"ratio {ours.times(theirs):.3f} (pairs {low:.3f}–{high:.3f}): {text}; "
        f"{pairs} pairs, load {os.getloadavg()[0]:.1f}{changing(sides.results)}"
        f"{caveats(sides.results)}",
        flush=True,
    )
    return all([reached, *(compare_eager(row, ours, one, ran) for one in eager)])


def compare_eager(row: Row, ours: Rates, eager: Rates, ran: str) -> bool:
    """Print how many times eager fp32 ours is; return whether that reaches the row's goal, if it has one."""
    times, goal = ours.times(eager), EAGER_GOALS.get(str(row))
    text, reached = ("no goal", True)
    if goal is not None:
        text, reached = verdict(times, goal, row.precision, ran)
    flags = describe_host()["cpu_flags"]
    assert isinstance(flags, list)
    print(
        f"  eager fp32 bs {row.batch_size}: {eager}, {row.precision} is {times:.2f} times that: {text}; "
        f"{processor(flags)}",
        flush=True,
    )
    return reached


def verdict(ratio: float, goal: float, asked: str, ran: str) -> tuple[str, bool]:
    """Return what is printed of a ratio, and whether it reaches its goal: never in another precision."""
    if asked != ran:
        return f"{ran} ran, not {asked}: this is no row of {asked}", False
    return (f"reached {goal}", True) if ratio >= goal else (f"below {goal}", False)


def processor(flags: Sequence[str]) -> str:
    """Return what this processor can do in bf16: whether a goal can be reached on it."""
    text = ", ".join(f"{flag} {'yes' if flag in flags else 'no'}" for flag in TELLING_FLAGS)
    if "amx_bf16" in flags:
        return text
    if "avx512_bf16" in flags:
        return f"{text}: without AMX bf16 has at most twice the multiply-adds of fp32"
    return f"{text}: no instructions for bf16"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare all rows; 0 when every one reaches its goals, else 1."""
    parser = arguments_of(ROWS, __doc__)
    parser.add_argument("--no-eager", action="store_true", help="leave eager fp32 out")
    given = parser.parse_args(arguments)
    catalog = catalog_of_the_tree()

    def sides(row: Row) -> Sides:
        eager = Row(case=row.case, precision="fp32", batch_size=row.batch_size)
        return Sides(
            row=row,
            intel=look(row.request("intel", "openvino"), catalog, given.seconds),
            eager=None
            if given.no_eager
            else look(eager.request("cpu", "eager"), catalog, given.seconds),
            seconds=given.seconds,
        )

    rows = [sides(row) for row in given.row or map(Row.parse, ROWS)]
    with open_bench(catalog) as bench:
        return 0 if all([compare(bench, one, given.pairs) for one in rows]) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
