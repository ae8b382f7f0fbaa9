"""Sets p_infer_core of vendor cpu against a bare ONNX Runtime loop on the same file.

    python -m tests.bench.bench_onnxruntime [--row CASE:fp32:BS]… [--pairs 5] [--seconds 10]

Ours is an ordinary job, in its own process with hook and harness; theirs is `bare_onnxruntime.py` in the
same environment, with the threads, batch size and session settings that our job reads back, in turns; and
once more with ONNX Runtime's own settings, since a setting of ours must not make its figures worse.
All warm up to a steady state outside the clock. The figures are the ratios of the medians; the suite
promises that the first lies within 5 %, to either side: a harness that is faster than nothing measures
something else. Against its own settings, only the lower side counts.

Exits with 0 when every row is in that range, with 1 when one is not.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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

    from driver.models.result import Result
    from driver.plan.choice import Choice
    from tests.bench.jobs import Bench
    from tests.bench.rates import Rates

ROWS = ("vit_b_32:fp32:8", "vit_l_16:fp32:4")
TOLERANCE = 0.05
BARE = Path(__file__).with_name("bare_onnxruntime.py")


def bare(bench: Bench, choice: Choice, result: Result, seconds: int, *, its_own: bool) -> float:
    """Return items/s of the bare loop with the settings of our last run, or ONNX Runtime's own beside the threads."""
    found = effective(result)
    spinning = found["spinning"]
    assert isinstance(spinning, dict)
    words = [
        *(str(BARE), str(bench.model(choice)), str(found["threads"])),
        *(str(choice.batch_size), str(seconds)),
        *(f"{key}={value}" for key, value in spinning.items() if not its_own),
    ]
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        return float(bench.bare(choice, words, Path(folder)))


def compare(bench: Bench, choice: Choice, pairs: int, seconds: int) -> bool:
    """Measure all in turns and print the row; return whether the ratios keep the promise."""
    results: list[Result] = []

    def ours() -> float:
        results.append(bench.run(choice))
        return rate(results[-1])

    def theirs(*, its_own: bool) -> float:
        return bare(bench, choice, results[-1], seconds, its_own=its_own)

    sides: list[Callable[[], float]] = [
        ours,
        partial(theirs, its_own=False),
        partial(theirs, its_own=True),
    ]
    own, same, default = in_turns(pairs, sides)
    ratio, to_default = own.times(same), own.times(default)
    reached = abs(ratio - 1) <= TOLERANCE and to_default >= 1 - TOLERANCE
    print(
        f"{choice.case.name} {choice.precision_name} bs {choice.batch_size}: {own}, bare loop {same}, "
        f"{_ratio(own, same)}; with its own settings {default}, {_ratio(own, default)}: "
        f"{'within' if reached else 'not within'} {TOLERANCE:.0%}; "
        f"{pairs} pairs, load {os.getloadavg()[0]:.1f}{changing(results)}{caveats(results)}",
        flush=True,
    )
    return reached


def _ratio(own: Rates, other: Rates) -> str:
    low, high = own.pairwise(other)
    return f"ratio {own.times(other):.3f} (pairs {low:.3f}–{high:.3f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare all rows; 0 when every one lies within the promise, else 1."""
    given = arguments_of(ROWS, __doc__).parse_args(arguments)
    catalog = catalog_of_the_tree()
    rows = [
        look(row.request("cpu", "onnxruntime"), catalog, given.seconds)
        for row in given.row or map(Row.parse, ROWS)
    ]
    with open_bench(catalog) as bench:
        reached = [compare(bench, choice, given.pairs, given.seconds) for choice in rows]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
