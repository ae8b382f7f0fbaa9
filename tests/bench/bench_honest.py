"""False alarms: honest runs of vit_digits, and what the integrity checks said of them.

    python -m tests.bench.bench_honest [--runs 12] [--first 0] [--seconds 2] [--sides cpu:process,intel:process,cpu:docker]

Each run is a whole job of tier standard, with shorter loops and one process; the sides take turns, and so do two batch
sizes and, where the vendor has them, two precisions. Every tenth run validates, which takes longer than all else. A run that fails, whose gate
fails, or that has a warning of ALARMS counts as a false alarm. How far the checks were from one is printed beside it:
the worst of all runs. With --first, a second call continues where the first one ended.

Exits with 0 when there was none, with 1 when there was one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.errors import AssayError
from driver.models.base import RunnerName, Tier, WarningCode
from driver.plan.choice import choose
from driver.plan.request import Request
from driver.session.run import run_job
from driver.session.site import open_site
from driver.system.settings import load_settings
from tests.bench.entry import ended
from tests.bench.jobs import Notes, catalog_of_the_tree
from tests.bench.row import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.models.result import Result
    from driver.session.site import Site

ALARMS = frozenset(
    {
        *(WarningCode.IMPLAUSIBLE, WarningCode.CORE_DISAGREES),
        *(WarningCode.CLOCK_UNCHECKED, WarningCode.SAME_PROCESS, WarningCode.EFFECTIVE_DIFFERS),
    }
)
"""What strikes figures out or marks them as open to change; a noisy machine has other warnings."""
VALIDATED = 10
SIDES = "cpu:process,intel:process,cpu:docker"
BATCH_SIZES = (16, 64)
PRECISIONS = {"intel": ("fp32", "bf16")}
"""Of vendors with more than one in their default engine."""


def request(vendor: str, runner: str, number: int) -> Request:
    """Return run ``number`` of a side."""
    precisions = PRECISIONS.get(vendor, ("fp32",))
    return Request(
        case="vit_digits",
        vendor=vendor,
        precision=precisions[number // 2 % len(precisions)],
        batch_size=BATCH_SIZES[number % 2],
        runner=RunnerName(runner),
        tier=Tier.STANDARD,
        repeat=1,
    )


def alarms(result: Result) -> list[str]:
    """Return what the integrity checks hold against a result: nothing, if it is honest."""
    found = [str(one.code) for one in result.warnings if one.code in ALARMS]
    if result.failure is not None:
        found.append(f"{result.failure.kind}: {result.failure.message.splitlines()[0]}")
    elif result.status != "ok":
        found.append(f"{result.status}: {result.gate.reason if result.gate else ''}")
    return found


class Worst:
    """How near to an alarm the checks came, over all runs."""

    def __init__(self) -> None:
        self.clocks_apart = 0.0
        self.clock_within = 0.0
        self.cosine = 1.0
        self.difference = 0.0
        self.loops = 0

    def add(self, result: Result) -> None:
        """Take a result into account."""
        for stage in result.provenance.get("clock", {}).values():
            for loop in stage["loops"].values():
                self.loops += 1
                apart = abs(loop["driver_s"] - loop["guest_s"]) - loop["within_s"]
                self.clocks_apart = max(self.clocks_apart, apart / loop["guest_s"])
                self.clock_within = max(self.clock_within, loop["within_s"] / loop["guest_s"])
        if result.metrics.core_fidelity is not None and result.job.precision == "fp32":
            self.cosine = min(self.cosine, result.metrics.core_fidelity.cosine_min)
        checks: dict[str, Any] = result.provenance.get("core_checks", {})
        for found in checks.values():
            largest = found.get("core_check", {}).get("largest_difference") or 0.0
            self.difference = max(self.difference, largest)

    def __str__(self) -> str:
        return (
            f"{self.loops} loops timed by the driver within {self.clock_within:.3%} at worst, the clocks apart by "
            f"{self.clocks_apart:.4%} beyond that (1 % is allowed); sampled items computed again at most "
            f"{self.difference:.2g} apart; fp32 cosine at least {self.cosine:.9f}"
        )


def run_one(site: Site, asked: Request, seconds: float, *, validates: bool) -> Result:
    """Run one job."""
    choice = choose(asked, site.catalog)
    short = {"min_seconds": seconds, "warmup_max_seconds": 2.0, "latency_max_seconds": 0.5}
    choice = replace(choice, measure=choice.measure.model_copy(update=short))
    if not validates:
        engine = choice.engine.model_copy(update={"validate_engine": None})
        choice = replace(choice, engine=engine)
    return run_job(site, choice).result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them all and print a table; 0 without an alarm."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=count, default=12)
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    parser.add_argument("--seconds", type=count, default=2, help="length of every core loop")
    parser.add_argument("--sides", default=SIDES, metavar="VENDOR:RUNNER,…")
    given = parser.parse_args(arguments)
    sides = [tuple(side.split(":")) for side in given.sides.split(",")]
    catalog, worst = catalog_of_the_tree(), Worst()
    runs: Counter[str] = Counter()
    alarmed: Counter[str] = Counter()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-bench-"))
        settings = load_settings().model_copy(update={"results": Path(folder)})
        sites = {
            runner: stack.enter_context(open_site(RunnerName(runner), settings, catalog, Notes()))
            for _, runner in sides
        }
        for number in range(given.first, given.first + given.runs):
            vendor, runner = sides[number % len(sides)]
            asked = request(vendor, runner, number // len(sides))
            name = f"{vendor} {runner} {asked.precision} bs {asked.batch_size}"
            try:
                result = run_one(
                    sites[runner], asked, given.seconds, validates=number % VALIDATED == 0
                )
            except AssayError as error:
                found = [error.message]
            else:
                found = alarms(result)
                worst.add(result)
            runs[name] += 1
            alarmed[name] += bool(found)
            print(f"  {number + 1}: {name}: {'; '.join(found) or 'ok'}", flush=True)
    for name in sorted(runs):
        print(f"{name}: {runs[name]} runs, {alarmed[name]} false alarms")
    total = alarmed.total()
    print(
        f"together: {runs.total()} runs, {total} false alarms; {worst}; load {os.getloadavg()[0]:.1f}"
    )
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(ended(main))
