"""Follows a sweep on a scheduler: a line for every job that ends, and the tables when all have."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import EXIT_OF_KIND, Interrupted
from driver.events import Progress
from driver.fleet.ledger import OK, TRY_AGAIN
from driver.models.base import FailureKind
from driver.system.plain_text import counted
from driver.verbs.showing.sweep import Tally, show_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.console import Console
    from driver.fleet.ledger import Entry
    from driver.fleet.state import Standing
    from driver.fleet.watch import Watch

POLL_S = 5.0
"""Seconds between two queries of Slurm's, whatever the size of the sweep."""


def follow(watch: Watch, console: Console, ratios: Sequence[str] = ()) -> int:
    """Follow a sweep until nothing of it waits or runs; return the first failure's exit code.

    An interruption detaches: the sweep continues.
    """
    shown: dict[int, Entry] = {}
    try:
        with console:
            standing = _until_over(watch, console, shown)
    except KeyboardInterrupt:
        console.say(f"detached; the sweep continues. next: {next_line(console, watch.plan.id)}")
        return Interrupted.exit_code
    return show_outcome(watch, standing, console, ratios)


def _until_over(watch: Watch, console: Console, shown: dict[int, Entry]) -> Standing:
    console.task_started("sweep")
    said = ""
    try:
        while True:
            standing = watch.look()
            _show_ended(watch, standing, console, shown)
            _show_progress(watch, standing, console)
            if watch.unreachable and watch.unreachable != said:
                console.note(
                    f"Slurm does not answer, the results are followed meanwhile: {watch.unreachable}"
                )
            said = watch.unreachable
            if not watch.unreachable and not standing.open and not standing.stray:
                return standing
            time.sleep(POLL_S)
            if standing.stray and watch.settle(standing):
                time.sleep(POLL_S)
    finally:
        console.task_ended()


def _show_progress(watch: Watch, standing: Standing, console: Console) -> None:
    jobs = [index for index, task in enumerate(watch.tasks) if task.does == "job"]
    nodes = standing.nodes()
    where = f" on {', '.join(nodes[:4])}{' …' if len(nodes) > 4 else ''}" if nodes else ""
    why = f" ({standing.reasons()})" if standing.reasons() else ""
    console.progress(
        Progress(
            phase=f"{len(standing.running)} running{where}, {len(standing.waiting)} waiting{why}",
            done=sum(index in standing.ended for index in jobs),
            total=len(jobs),
            unit="jobs",
            rate=None,
        )
    )


def _show_ended(
    watch: Watch, standing: Standing, console: Console, shown: dict[int, Entry]
) -> None:
    """Show the jobs that have ended since the last look; those of the first look were there before."""
    first = not shown
    for index, entry in standing.ended.items():
        if shown.get(index) == entry:
            continue
        shown[index] = entry
        if first and entry.state == OK:
            continue
        outcome = watch.ledger.outcome(entry)
        sign = "✓" if entry.state == OK else "✗"
        tail = "" if entry.state == OK else f": {entry.state}: {outcome.message}"
        console.say(f"  {sign} {watch.tasks[index].name}{tail}")
        if outcome.remedy:
            console.say(f"    → {console.advice(outcome.remedy)}")


def show_outcome(
    watch: Watch, standing: Standing, console: Console, ratios: Sequence[str] = ()
) -> int:
    """Show tables of all results and what is missing; return the first failure's exit code."""
    jobs = {index for index, task in enumerate(watch.tasks) if task.does == "job"}
    tally = Tally()
    for index, entry in sorted(standing.ended.items()):
        if index not in jobs:
            continue
        outcome = watch.ledger.outcome(entry)
        if outcome.result is not None:
            tally.paths.append(Path(watch.folder.results) / outcome.result)
        tally.codes.append(exit_code_of(entry.state))
        tally.run += 1
    absent = [index for index in standing.absent if index in jobs]
    again = [i for i, entry in standing.ended.items() if i in jobs and entry.state in TRY_AGAIN]
    if absent and not standing.open:
        tally.codes.append(EXIT_OF_KIND[FailureKind.HOST])
        console.fault(
            f"{counted(len(absent), 'task')} of Slurm's left nothing, not even a claim; their output is in "
            f"{watch.folder.path / 'logs'}",
            "read one of them; the same `make sweep` as then runs what is missing",
        )
    show_end(tally, console, len(jobs), list(ratios))
    if again or absent:
        console.say(
            f"{counted(len(again) + len(absent), 'job')} ended by the cluster rather than by the chip; "
            "the same `make sweep` as then runs exactly those"
        )
    return next((code for code in tally.codes if code), 0)


def exit_code_of(state: str) -> int:
    """Return the exit code of a job that ended in this state of the ledger."""
    return 0 if state == OK else EXIT_OF_KIND.get(FailureKind(state), 1)


def next_line(console: Console, sweep: str) -> str:
    """Return what comes back to a sweep, and what cancels it."""
    own = console.own_command()
    if own is not None and own.by_make:
        return f"`make sweep ATTACH={sweep}` follows it, `make sweep CANCEL={sweep}` cancels it"
    return f"`driver/assay sweep --attach {sweep}` follows it, `--cancel {sweep}` cancels it"
