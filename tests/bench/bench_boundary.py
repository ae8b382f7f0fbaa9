"""What it costs that the engine has a process of its own: core rate and latency with and without, in turns.

    python -m tests.bench.bench_boundary [--row CASE:fp32:BS]… [--seconds 10]

The figure is the ratio of the core rates, over blocks of half a second that alternate; the suite promises at
least 0.99 where a call takes a millisecond or more. First on simulated devices, which cost no processor time: that is
what the boundary itself costs. Then on ONNX Runtime, whose threads use every core of the host, so that the harness
takes its moments from them. The added time of a single call is printed beside it. `boundary_loops.py` has the loops.

Exits with 0 when every such line reaches it, with 1 when one does not.
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

ROWS = ("vit_digits:fp32:4", "vit_digits:fp32:16", "vit_digits:fp32:128")
DEVICES = ("1000000:1", "1000000:2", "300000:2")
AIM = 0.99
JUDGED_NS = 1e6
LOOPS = Path(__file__).with_name("boundary_loops.py")


def measure(
    bench: Bench, choice: Choice, seconds: int, *, threads: str = "1", device: str | None = None
) -> bool:
    """Measure a row and print it; return whether the ratio reaches AIM, or the calls are too short for it.

    ``device``: CALL_NS:IN_FLIGHT of a simulated device that takes the engine's place.
    """
    vendor, engine = choice.vendor.folder, choice.engine_name
    if device is not None:
        vendor, engine = LOOPS.with_name("device"), f"sleeping:{device}"
    words = [
        *(str(LOOPS), str(ROOT / "vendor_hooks"), str(vendor), engine),
        *(str(bench.model(choice)), threads, str(choice.batch_size), str(seconds)),
    ]
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        measured = json.loads(bench.bare(choice, words, Path(folder)))
    ratio, call_ns = measured["core_ratio"], measured["call_ns"]
    low, high = measured["core_ratio_quartiles"]
    reached: bool = ratio >= AIM
    print(
        f"{choice.case.name} bs {choice.batch_size} {engine}: call {call_ns / 1e6:.3f} ms; core with ÷ without "
        f"{ratio:.3f} (quartiles {low:.3f} to {high:.3f}): {'reaches' if reached else 'below'} {AIM}; a single "
        f"call {measured['latency_ns'] / 1e3:.0f} µs, with {measured['latency_added_ns'] / 1e3:+.0f} µs; an "
        f"empty message {measured['message_ns'] / 1e3:.0f} µs; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return reached or call_ns < JUDGED_NS


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all rows; 0 when every one that is judged reaches the aim, else 1."""
    given = arguments_of(ROWS, __doc__).parse_args(arguments)
    catalog = catalog_of_the_tree()
    rows = [
        look(row.request("cpu", "onnxruntime"), catalog, 1)
        for row in given.row or map(Row.parse, ROWS)
    ]
    with open_bench(catalog) as bench:
        threads = [str(effective(bench.run(choice))["threads"]) for choice in rows]
        reached = [measure(bench, rows[0], given.seconds, device=one) for one in DEVICES]
        reached += [
            measure(bench, choice, given.seconds, threads=one)
            for choice, one in zip(rows, threads, strict=True)
        ]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(ended(main))
