"""What changing the core loop's inputs costs: the same session with and without it, in one process.

    python -m tests.bench.bench_core_inputs [--row CASE:fp32:BS]… [--pairs 1] [--seconds 10]

The figure is the ratio of the rates at the lower quartile of call times, which other load of the machine
hardly touches; the suite promises at least 0.98, changing included. `alternating_loops.py` has the loops.

Exits with 0 when every row reaches it, with 1 when one does not.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from driver.system.settings import ROOT
from tests.bench.entry import ended
from tests.bench.jobs import catalog_of_the_tree, effective, look, open_bench
from tests.bench.row import Row, arguments_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.plan.choice import Choice
    from tests.bench.jobs import Bench

ROWS = ("vit_digits:fp32:4", "vit_digits:fp32:16")
AIM = 0.98
LOOPS = Path(__file__).with_name("alternating_loops.py")


def measure(bench: Bench, choice: Choice, seconds: int) -> bool:
    """Measure a row and print it; return whether the ratio reaches AIM."""
    found = effective(bench.run(choice))
    spinning = found["spinning"]
    assert isinstance(spinning, dict)
    words = [
        *(str(LOOPS), str(ROOT / "vendor_hooks"), str(bench.model(choice)), str(found["threads"])),
        *(str(choice.batch_size), str(seconds)),
        *(f"{key}={value}" for key, value in spinning.items()),
    ]
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        measured = json.loads(bench.bare(choice, words, Path(folder)))
    ratios = measured["rate_ratio_by_percentile_of_call_time"]
    reached: bool = ratios["25"] >= AIM
    print(
        f"{choice.case.name} bs {choice.batch_size}: call {measured['call_ns'] / 1e6:.3f} ms, inputs changed "
        f"in {measured['change_ns'] / 1e3:.1f} µs ({measured['change_share']:.2%} of a call, "
        f"{measured['changed_share_of_items']:.1%} of each item); core ÷ bare loop {ratios['25']:.3f} "
        f"(fastest {ratios['5']:.3f}, median {ratios['50']:.3f}): "
        f"{'reaches' if reached else 'below'} {AIM}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return reached


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all rows; 0 when every one reaches the aim, else 1."""
    given = arguments_of(ROWS, __doc__).parse_args(arguments)
    catalog = catalog_of_the_tree()
    rows = [
        look(row.request("cpu", "onnxruntime"), catalog, 1)
        for row in given.row or map(Row.parse, ROWS)
    ]
    with open_bench(catalog) as bench:
        reached = [measure(bench, choice, given.seconds) for choice in rows]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
