"""Sets p_infer_core of vendor cpu against a bare ONNX Runtime loop on the same file.

    python -m tests.bench.bench_onnxruntime [--row CASE:fp32:BS]… [--pairs 5] [--seconds 10]

Ours is an ordinary job, in its own process with hook and harness; theirs is `bare_onnxruntime.py` in the
same environment, with the same threads and batch size, in turns. The figure is the ratio of the medians;
the suite promises that it lies within 5 %.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from driver.catalog import load_catalog
from driver.models.base import RunnerName
from driver.opening import open_site
from driver.preparation import prepare
from driver.settings import load_settings
from driver.stopwatch import Stopwatch
from tests.bench.bench_openvino import Bench, Notes, Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.plan import Choice
    from driver.site import Site

ROWS = ("vit_b_32:fp32:8", "vit_l_16:fp32:4")
GOAL = 0.95
BARE = Path(__file__).with_name("bare_onnxruntime.py")


def bare(site: Site, choice: Choice, seconds: float) -> float:
    """Return items/s of the bare loop on the very file that the job runs on."""
    prepared = prepare(site, choice, Stopwatch())
    venv = prepared.stacks.vendor.venv
    assert venv is not None
    model = site.settings.cache / "models" / prepared.planned.export_key[:16] / "model/model.onnx"
    words = [str(model), str(site.host.threads), str(choice.batch_size), str(seconds)]
    ran = subprocess.run(
        [str(venv / "bin/python3"), str(BARE), *words], check=True, capture_output=True, text=True
    )
    return float(ran.stdout)


def compare(site: Site, row: Row, pairs: int, seconds: float) -> float:
    """Return the ratio of the medians of ours and theirs, in turns; prints the row."""
    bench = Bench(site, seconds=seconds)
    choice = bench.choice(row.request("cpu", "onnxruntime"))
    ours, theirs = [], []
    for _ in range(pairs):
        ours.append(bench.ours(choice).metrics.p_infer_core or 0.0)
        theirs.append(bare(site, choice, seconds))
    ratio = statistics.median(ours) / statistics.median(theirs)
    shown = " ".join(f"{one:.4g}/{other:.4g}" for one, other in zip(ours, theirs, strict=True))
    print(
        f"{row.case:10} fp32 bs {row.batch_size:3}: {statistics.median(ours):8.2f} items/s, bare loop "
        f"{statistics.median(theirs):8.2f}, ratio {ratio:.3f} "
        f"({'reached' if ratio >= GOAL else 'below'} {GOAL}); pairs {shown}; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return ratio


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare all rows; 0 when every one reaches its goal, else 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--row", action="append", help=f"default: {', '.join(ROWS)}")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of every timed loop")
    given = parser.parse_args(arguments)
    settings = load_settings()
    with tempfile.TemporaryDirectory() as folder:
        settings = settings.model_copy(update={"results": Path(folder)})
        catalog = load_catalog(settings.root)
        with open_site(RunnerName.PROCESS, settings, catalog, Notes()) as site:
            rows = [Row.parse(text) for text in given.row or ROWS]
            ratios = [compare(site, row, given.pairs, given.seconds) for row in rows]
    return 0 if min(ratios) >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
