"""`sweep` with RUNNER=slurm: plans, submits what is missing, and follows it; ATTACH and CANCEL."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault, UsageFault, unknown
from driver.fleet import slurm
from driver.fleet.planning import folder_of, plan_sweep
from driver.fleet.submit import arrays_of, submit_arrays
from driver.fleet.sweep_folder import sweep_named
from driver.fleet.watch import Watch
from driver.models.base import RunnerName
from driver.plan.choice import Choice, Skip, expand
from driver.system.files import write_atomically
from driver.system.plain_text import counted
from driver.system.settings import load_settings
from driver.verbs.fleet.follow import POLL_S, follow, next_line, show_outcome
from driver.verbs.reading_catalog import read_catalog_here
from driver.verbs.showing.sweep import pairs_asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.catalog.catalog import Catalog
    from driver.console import Console
    from driver.fleet.slurm import Array
    from driver.fleet.state import Standing
    from driver.plan.request import Request
    from driver.system.settings import Settings


COMPLETES_S = 90.0
"""How long tasks may take to end: Slurm's KillWait (30 s by default), its epilog, and the result's way."""


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """What a sweep takes beside the variables of its runs; those from ``inside`` on are for RUNNER=slurm.

    ``ratios`` names columns of the table ("310P/T4").
    """

    ratios: str | None = None
    again: bool = False
    dry_run: bool = False
    inside: str | None = None
    detach: bool = False
    attach: str | None = None
    cancel: str | None = None


def submit_sweep(requests: Sequence[Request], options: SweepOptions, console: Console) -> int:
    """Plan a sweep, submit what has no result, and follow it to its end; return the exit code.

    The same sweep again finds its own tasks: nothing that waits, runs or has a result is submitted.
    """
    settings = load_settings()
    slurm.require_slurm()
    inside = inside_asked(options.inside or settings.slurm.inside)
    catalog = read_catalog_here(settings, console)
    choices = _choices(requests, inside, catalog, console)
    plan, tasks, lines = plan_sweep(
        choices,
        settings,
        catalog,
        inside=inside,
        largest_array=slurm.largest_array(),
        again=secrets.token_hex(4) if options.again else "",
    )
    folder = folder_of(plan, settings)
    watch = Watch(folder=folder, plan=plan, tasks=tasks, catalog=catalog)
    standing = _settled(watch)
    if not options.dry_run and watch.ending(standing):
        standing = _completed(watch, standing, console)
    if options.dry_run:
        _show(
            watch, standing, arrays_of(folder, plan, tasks, standing.to_submit, settings), console
        )
        console.say("nothing is submitted with DRY_RUN=1")
        return 0
    folder.write(plan, lines)
    (folder.path / "cancelled").unlink(missing_ok=True)
    arrays = arrays_of(folder, plan, tasks, standing.to_submit, settings)
    _show(watch, standing, arrays, console)
    submit_arrays(plan, arrays, watch.queued, settings)
    if options.detach:
        console.say(f"next: {next_line(console, plan.id)}")
        return 0
    return follow(watch, console, pairs_asked(options.ratios))


def attach(sweep: str, console: Console, ratios: Sequence[str]) -> int:
    """Follow a sweep that somebody submitted; return the exit code of its jobs."""
    settings = load_settings()
    slurm.require_slurm()
    watch = _watch(sweep, settings, read_catalog_here(settings, console))
    return follow(watch, console, ratios)


def cancel(sweep: str, console: Console) -> int:
    """Cancel what a sweep has waiting and running; what was measured stays. Return 0."""
    settings = load_settings()
    slurm.require_slurm()
    watch = _watch(sweep, settings, read_catalog_here(settings, console))
    write_atomically(watch.folder.path / "cancelled", "")
    slurm.cancel(sweep)
    standing = watch.look()
    console.say(f"sweep {sweep} is cancelled: {counted(standing.open, 'task')} to end now")
    show_outcome(watch, standing, console)
    return 0


def inside_asked(text: str | None) -> RunnerName | None:
    """Return what is to run the stages on nodes, None where each node decides; UsageFault for a wrong name."""
    names = [name for name in RunnerName if name is not RunnerName.SLURM]
    if not text:
        return None
    if text not in names:
        raise unknown("INSIDE", text, names)
    return RunnerName(text)


def _choices(
    requests: Sequence[Request], inside: RunnerName | None, catalog: Catalog, console: Console
) -> list[Choice]:
    """Choose for every request, as its node will; name what is skipped."""
    # Devices are the nodes': CHIP names them, or the vendor's default does.
    asked = [
        one.model_copy(
            update={
                "runner": inside,
                "data": _absolute(one.data),
                "weights": _absolute(one.weights),
            }
        )
        for one in requests
    ]
    chosen = expand(asked, catalog)
    for skip in (one for one in chosen if isinstance(one, Skip)):
        console.say(
            f"  - {skip.request.case} {skip.request.vendor}: skipped: {skip.reason}; {skip.remedy}"
        )
    choices = [one for one in chosen if isinstance(one, Choice)]
    if not choices:
        raise UsageFault(
            "no combination of the sweep can be run", "change the lists as the lines above say"
        )
    return choices


def _absolute(text: str | None) -> str | None:
    """Return a path as nodes find it: a task's current folder is its own affair."""
    if text is None or text == "synthetic":
        return text
    return str(Path(text).expanduser().absolute())


def _settled(watch: Watch) -> Standing:
    """Return where the tasks stand, with everything ended that Slurm no longer runs."""
    standing = watch.look()
    if watch.unreachable:
        raise EnvironmentFault(
            f"Slurm does not answer: {watch.unreachable}",
            "check `scontrol ping` and `sinfo`, then type the same command again",
        )
    while standing.stray and watch.settle(standing):
        standing = watch.look()
    return standing


def _completed(watch: Watch, standing: Standing, console: Console) -> Standing:
    """Wait for what was cancelled to end: until then it counts as running, and would not be submitted."""
    console.say(f"waiting for {counted(watch.ending(standing), 'task')} that Slurm is still ending")
    deadline = time.monotonic() + COMPLETES_S
    while watch.ending(standing) and time.monotonic() < deadline:
        time.sleep(POLL_S)
        standing = _settled(watch)
    return standing


def _watch(sweep: str, settings: Settings, catalog: Catalog) -> Watch:
    folder = sweep_named(settings.results, sweep)
    plan = folder.plan()
    return Watch(folder=folder, plan=plan, tasks=folder.tasks(plan), catalog=catalog)


def _show(watch: Watch, standing: Standing, arrays: Sequence[Array], console: Console) -> None:
    """Show what is submitted and what is not."""
    plan = watch.plan
    jobs = sum(task.does == "job" for task in watch.tasks)
    console.say(f"sweep {plan.id}: {counted(jobs, 'job')} into {watch.folder.results}")
    done = sum(entry.final for index, entry in standing.ended.items() if _is_job(watch, index))
    open_ = sum(_is_job(watch, index) for index in (*standing.running, *standing.waiting))
    if done or open_:
        console.say(f"  {done} have a result, {open_} wait or run already")
    for array in arrays:
        kind = plan.arrays[array.number]
        ask = f" ({' '.join(kind.ask)})" if kind.ask else ""
        console.say(f"  · {kind.title}: {counted(len(array.indices), 'task')}{ask}")


def _is_job(watch: Watch, index: int) -> bool:
    return watch.tasks[index].does == "job"
