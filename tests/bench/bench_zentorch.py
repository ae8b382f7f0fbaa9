"""Sets p_infer_core of amd's engine zentorch against inductor and eager, in the same stack.

    python -m tests.bench.bench_zentorch [--row CASE:PRECISION:BS]… [--pairs 5] [--seconds 10]

Three ordinary jobs a row, each in its own process with hook and harness, in turns: the same torch, the same
weights, threads and batches; only the engine differs. Each warms up to a steady state outside the clock, and
each passes the accuracy gate, or the bench ends: fast and wrong is not fast. Figures are medians of the
rounds, with the slowest and the fastest, and ratios those of medians. Nothing is promised: what is faster
depends on the model. A row in which zentorch replaced no operator is not one of zentorch.

Exits with 0, or with 1 when a row is not one of zentorch or of the precision that it is named after.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from driver.system.host.machine import describe_host
from tests.bench.bench_openvino import processor
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
    from collections.abc import Mapping, Sequence

    from driver.models.result import Result
    from driver.plan.choice import Choice
    from tests.bench.jobs import Bench
    from tests.bench.rates import Rates

ROWS = ("vit_s_16:fp32:8", "vit_s_16:bf16:8")
ENGINES = ("zentorch", "inductor", "eager")
"""The first is compared with each of the others."""


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The jobs of one row by engine, looked up before anything is measured."""

    row: Row
    choices: Mapping[str, Choice]
    results: dict[str, list[Result]] = field(default_factory=dict)

    def run(self, bench: Bench, engine: str) -> float:
        """Run the job of one engine, with as many threads as the others."""
        result = bench.run(self.choices[engine])
        self.results.setdefault(engine, []).append(result)
        threads = {effective(one)["threads"] for all_ in self.results.values() for one in all_}
        if len(threads) > 1:
            raise NotComparable(
                f"{engine} ran with {effective(result)['threads']} threads, another engine with "
                f"{', '.join(str(one) for one in threads - {effective(result)['threads']})}",
                "find out what limits one of them on this machine",
            )
        return rate(result)

    @property
    def wrong(self) -> str:
        """Why the row is not what its name says; "" if it is."""
        ran = {effective(one)["arithmetic"] for all_ in self.results.values() for one in all_}
        if ran != {self.row.precision}:
            return f"{', '.join(sorted(map(str, ran)))} ran, not {self.row.precision} alone"
        for result in self.results["zentorch"]:
            operators = effective(result)["operators"]
            assert isinstance(operators, dict)
            if not any(name.startswith("zentorch::") for name in operators):
                return "zentorch replaced no operator: inductor ran under its name"
        return ""


def compare(bench: Bench, sides: Sides, pairs: int) -> bool:
    """Measure the engines of one row in turns and print it; return whether it is what its name says."""
    rates = in_turns(pairs, [partial(sides.run, bench, name) for name in ENGINES])
    found = dict(zip(ENGINES, rates, strict=True))
    results = [one for name in ENGINES for one in sides.results[name]]
    flags = describe_host()["cpu_flags"]
    assert isinstance(flags, list)
    row = sides.row
    print(
        f"{row.case} {row.precision} bs {row.batch_size}: "
        + ", ".join(f"{name} {rate_}" for name, rate_ in found.items())
        + f"; {pairs} rounds, load {os.getloadavg()[0]:.1f}{changing(results)}{caveats(results)}; "
        f"{processor(flags)}",
        flush=True,
    )
    own = found[ENGINES[0]]
    for name in ENGINES[1:]:
        print(f"  {ratio(own, found[name])} of {name}", flush=True)
    print(f"  {ratio(found['inductor'], found['eager'])} of eager, by inductor", flush=True)
    if sides.wrong:
        print(f"  {sides.wrong}", flush=True)
    return not sides.wrong


def ratio(own: Rates, other: Rates) -> str:
    """Return the ratio of the medians, with the smallest and largest of a single round."""
    low, high = own.pairwise(other)
    return f"{own.times(other):.3f} times ({low:.3f}–{high:.3f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare all rows; 0 when every one is what its name says, else 1."""
    given = arguments_of(ROWS, __doc__).parse_args(arguments)
    catalog = catalog_of_the_tree()

    def sides(row: Row) -> Sides:
        return Sides(
            row=row,
            choices={
                name: look(row.request("amd", name), catalog, given.seconds) for name in ENGINES
            },
        )

    rows = [sides(row) for row in given.row or map(Row.parse, ROWS)]
    with open_bench(catalog) as bench:
        return 0 if all([compare(bench, one, given.pairs) for one in rows]) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
