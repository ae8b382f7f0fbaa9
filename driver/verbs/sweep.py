"""`sweep`: plans every combination of the lists, runs the missing ones, and shows a table."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.errors import AssayError, UsageFault
from driver.models.base import FailureKind, RunnerName
from driver.plan.choice import Choice, Skip, combine, expand
from driver.plan.request import LARGEST_BATCH, Request, parse_request, positive, split_list
from driver.plan.sweep import name_of
from driver.results.concerns import CONCERNS
from driver.results.history import by_runner, estimate, measured_before
from driver.session.inputs.artifact_cache import CacheFolders
from driver.session.prepare import plan_only, prepare
from driver.session.result import exit_code
from driver.session.run import run_job
from driver.session.site import open_site
from driver.session.telemetry import devices_here
from driver.system.plain_text import counted
from driver.system.settings import load_settings_here
from driver.system.stopwatch import Stopwatch
from driver.verbs.fleet.sweep import SweepOptions, attach, cancel, submit_sweep
from driver.verbs.reading_catalog import read_catalog_here
from driver.verbs.showing.sweep import Tally, pairs_asked, show_end

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from driver.console import Console
    from driver.plan.job import PlannedJob
    from driver.results.history import Before
    from driver.session.site import Site

LISTS = {
    "case": "case",
    "vendor": "vendor",
    "stack": "stack",
    "engine": "engine",
    "precision": "precision",
    "chip": "chip",
    "bs": "batch_size",
    "scenario": "scenario",
}
"""Variables that may be lists, and the field of Request that each one sets."""


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A job to run, and its earlier result whose figures have a warning, if there is one."""

    choice: Choice
    earlier: Path | None = None


def sweep(given: Mapping[str, str | None], console: Console, options: SweepOptions) -> int:
    """Run every combination; return 0, or the exit code of the first job that failed.

    With RUNNER=slurm they run on the lab's scheduler, whose ATTACH and CANCEL name a submitted sweep.
    Raises UsageFault if no job can be run.
    """
    wanted = pairs_asked(options.ratios)
    settings = load_settings_here()
    if options.cancel:
        return cancel(options.cancel, console)
    if options.attach:
        return attach(options.attach, console, wanted)
    if given.get("runner") == RunnerName.SLURM:
        return submit_sweep(requests(given), options, console)
    _require_scheduler_unasked(options)
    again, dry_run = options.again, options.dry_run
    catalog = read_catalog_here(settings, console)
    asked = requests(given)
    chosen = expand(asked, catalog, devices_here(catalog.vendors, asked))
    choices = [one for one in chosen if isinstance(one, Choice)]
    for skip in (one for one in chosen if isinstance(one, Skip)):
        console.say(f"  - {asked_name(skip.request)}: skipped: {skip.reason}; {skip.remedy}")
    if not choices:
        raise UsageFault(
            "no combination of the sweep can be run", "change the lists as the lines above say"
        )
    tally = Tally(skipped=len(chosen) - len(choices))
    with ExitStack() as opened:
        opened.enter_context(console)
        planned = []
        for runner, group in by_runner(choices).items():
            site = opened.enter_context(open_site(runner, settings, catalog, console))
            planned.append((site, _plan(site, group, console, tally, again=again, dry=dry_run)))
        for site, missing in planned:
            if not dry_run:
                _run(site, missing, console, tally)
    show_end(tally, console, len(choices), wanted, dry=dry_run)
    return next((code for code in tally.codes if code), 0)


def _require_scheduler_unasked(options: SweepOptions) -> None:
    """Raise UsageFault for an option of sweeps on a scheduler where there is none."""
    given = [name for name in ("inside", "detach") if getattr(options, name)]
    if given:
        raise UsageFault(
            f"{given[0].upper()} is for sweeps on a scheduler", "add RUNNER=slurm, or leave it out"
        )


def requests(given: Mapping[str, str | None]) -> list[Request]:
    """Return a request for every combination of the lists, in their order."""
    single = {name: value for name, value in given.items() if name not in LISTS}
    axes: dict[str, list[object]] = {}
    for variable, name in LISTS.items():
        members = [member for member in split_list(given.get(variable)) if member is not None]
        if members and variable == "bs":
            axes[name] = [positive("BS", member, LARGEST_BATCH) for member in members]
        elif members:
            axes[name] = list(members)
    return combine(parse_request(single), axes)


def _plan(
    site: Site,
    choices: list[Choice],
    console: Console,
    tally: Tally,
    *,
    again: bool,
    dry: bool = False,
) -> list[Missing]:
    """Show all jobs with the time that each may take; return those that must run.

    ``dry`` installs and makes nothing: the data of a job may then be unknown, and with it the job's id.
    """
    missing, seconds, failed = [], 0.0, 0
    for choice in choices:
        try:
            planned = plan_only(site, choice) if dry else prepare(site, choice, Stopwatch()).planned
        except AssayError as error:
            console.say(f"  ✗ {name_of(choice)}: cannot run")
            console.error(error)
            tally.codes.append(error.exit_code)
            failed += 1
            continue
        before = None if planned is None else measured_before(site.settings.results, planned.key)
        if before is not None and not again and not before.again:
            console.say(f"  ✓ {name_of(choice)}: measured before{_kept(before)}")
            tally.paths.append(before.path)
            tally.before += 1
            continue
        expected = estimate(site.settings.results, choice)
        seconds += expected.seconds
        about = "" if expected.known else " (a guess, it never ran here)"
        about += _ahead(site, planned)
        if before is not None:
            about += f"; measured again ({'; '.join(before.marks) or 'AGAIN=1'})"
        console.say(f"  · {name_of(choice)}: about {expected.seconds:.0f} s{about}")
        missing.append(Missing(choice=choice, earlier=before.path if before else None))
    console.say(
        f"{counted(len(choices), 'job')}: {len(choices) - len(missing) - failed} done, {len(missing)} to run, "
        f"{failed} cannot run, about {seconds / 60:.0f} min"
    )
    return missing


def _ahead(site: Site, planned: PlannedJob | None) -> str:
    """Return what to say of what a job finds: its cached stages, or data that is still to be made."""
    if planned is None:
        return "; its data is made first"
    cached = CacheFolders.of(site.settings.cache, planned).present()
    return f"; cached: {cached}" if cached else ""


def _kept(before: Before) -> str:
    """Return what to say of an earlier result whose figures keep a mark."""
    return (
        f", marked: {'; '.join(before.marks)} (AGAIN=1 measures it again)" if before.marks else ""
    )


def asked_name(request: Request) -> str:
    """Return what a request asks for, for people: the names that were given, and the batch size."""
    batch = f"bs{request.batch_size}" if request.batch_size else None
    names = (
        request.stack,
        request.chip,
        request.engine,
        request.precision,
        batch,
        request.scenario,
    )
    return " ".join([request.case, request.vendor, *filter(None, names)])


def _run(site: Site, missing: list[Missing], console: Console, tally: Tally) -> None:
    """Run the missing jobs; each result is written when its job ends, and a failure ends only its job."""
    for number, one in enumerate(missing, start=1):
        console.say(f"[{number}/{len(missing)}] {name_of(one.choice)}")
        # Tables take the newest result with figures: this one, where the new run leaves none.
        earlier = [] if one.earlier is None else [one.earlier]
        try:
            finished = run_job(site, one.choice)
        except AssayError as error:
            console.error(error)
            tally.codes.append(error.exit_code)
            tally.paths.extend(earlier)
            continue
        tally.run += 1
        tally.codes.append(exit_code(finished.result))
        tally.paths.append(finished.folder / "result.json")
        for warning in finished.result.warnings:
            if warning.code in CONCERNS:
                console.warning(warning)
        failure = finished.result.failure
        if failure is not None:
            tally.paths.extend(earlier)
            console.failure(failure)
            if failure.kind is FailureKind.INTERRUPTED:
                raise KeyboardInterrupt
