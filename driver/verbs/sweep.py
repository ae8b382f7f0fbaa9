"""`sweep`: the product of lists, planned first, resumed with only what is missing, ended with a table."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from driver.aggregate.groups import grouped
from driver.aggregate.problem import Problem
from driver.aggregate.reading import read_record
from driver.aggregate.tables import batch_table
from driver.booking import exit_code
from driver.errors import AssayError, UsageFault
from driver.host_python import catalog_here
from driver.models.base import FailureKind
from driver.opening import open_site
from driver.plan import Choice, Skip, combine, expand
from driver.preparation import prepare
from driver.request import LARGEST_BATCH, Request, parse_request, positive, split_list
from driver.session import run_job
from driver.settings import load_settings
from driver.stage_cache import CacheFolders
from driver.stopwatch import Stopwatch
from driver.sweep import DONE, by_runner, estimate, measured_before
from driver.telemetry import names_here

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from driver.aggregate.record import Record
    from driver.console import Console
    from driver.site import Site

LISTS = {
    "case": "case",
    "vendor": "vendor",
    "stack": "stack",
    "engine": "engine",
    "precision": "precision",
    "chip": "chip",
    "bs": "batch_size",
}
"""Variables that may hold a list, and the field of Request that each fills."""


@dataclass(kw_only=True)
class Tally:
    """What became of the jobs."""

    paths: list[Path] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    run: int = 0
    skipped: int = 0


def sweep(
    given: Mapping[str, str | None],
    console: Console,
    *,
    ratios: str | None,
    again: bool,
    dry_run: bool,
) -> int:
    """Run every combination; return 0, or the exit code of the first job that did not go well."""
    wanted = pairs_asked(ratios)
    settings = load_settings()
    catalog = catalog_here(settings)
    asked = requests(given)
    chosen = expand(asked, catalog, names_here(catalog.vendors, asked))
    choices = [one for one in chosen if isinstance(one, Choice)]
    for skip in (one for one in chosen if isinstance(one, Skip)):
        console.say(f"  - skipped: {skip.reason}; {skip.remedy}")
    if not choices:
        raise UsageFault("the sweep has no job that can be run", "mend the lists above")
    tally = Tally(skipped=len(chosen) - len(choices))
    with ExitStack() as opened:
        opened.enter_context(console)
        planned = []
        for runner, group in by_runner(choices).items():
            site = opened.enter_context(open_site(runner, settings, catalog, console))
            planned.append((site, _plan(site, group, console, tally, again=again)))
        for site, missing in planned:
            if not dry_run:
                _run(site, missing, console, tally)
    show_end(tally, console, len(choices), wanted)
    return next((code for code in tally.codes if code), 0)


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
    site: Site, choices: list[Choice], console: Console, tally: Tally, *, again: bool
) -> list[Choice]:
    """Show what the whole set is and how long it may take; return what is to be run."""
    missing, seconds = [], 0.0
    for choice in choices:
        try:
            planned = prepare(site, choice, Stopwatch()).planned
        except AssayError as error:
            console.error(error)
            tally.codes.append(error.exit_code)
            continue
        before = measured_before(site.settings.results, planned.key)
        if before is not None and not again:
            console.say(f"  ✓ {name(choice)}: measured before")
            tally.paths.append(before)
            continue
        expected = estimate(site.settings.results, choice)
        seconds += expected.seconds
        about = "" if expected.known else " (a guess: never run here)"
        cached = CacheFolders.of(site.settings.cache, planned).present()
        about += f"; cached: {cached}" if cached else ""
        console.say(f"  · {name(choice)}: about {expected.seconds:.0f} s{about}")
        missing.append(choice)
    console.say(
        f"{len(choices)} jobs: {len(choices) - len(missing)} need no run, {len(missing)} to run, "
        f"about {seconds / 60:.0f} min"
    )
    return missing


def name(choice: Choice) -> str:
    """Return a job's name for a line: case, vendor, chip, engine, precision, batch size."""
    return (
        f"{choice.case.name} {choice.vendor.name} {choice.chip_name} {choice.engine_name} "
        f"{choice.precision_name} bs{choice.batch_size}"
    )


def _run(site: Site, choices: list[Choice], console: Console, tally: Tally) -> None:
    """Run what is missing, each booked as it ends; one that fails does not end the sweep."""
    for number, choice in enumerate(choices, start=1):
        console.say(f"[{number}/{len(choices)}] {name(choice)}")
        try:
            booked = run_job(site, choice)
        except AssayError as error:
            console.error(error)
            tally.codes.append(error.exit_code)
            continue
        tally.run += 1
        tally.codes.append(exit_code(booked.result))
        tally.paths.append(booked.folder / "result.json")
        failure = booked.result.failure
        if failure is not None:
            console.failure(failure)
            if failure.kind is FailureKind.INTERRUPTED:
                raise KeyboardInterrupt


def pairs_asked(text: str | None) -> list[str]:
    """Return the ratios that RATIO asks for, "A/B" each; UsageFault for one that is none."""
    asked = []
    for member in filter(None, split_list(text)):
        columns = [part.strip() for part in member.split("/")]
        if len(columns) != 2 or not all(columns):
            raise UsageFault(
                f"RATIO={member} names no two columns", "for example RATIO=310P/T4,310P/310"
            )
        asked.append("/".join(columns))
    return asked


def _show_tables(records: list[Record], console: Console, ratios: list[str]) -> None:
    """Show a table for what may be set side by side: one case, never a look beside a measurement."""
    tables = [(group, batch_table(group.records, ratios=ratios)) for group in grouped(records)]
    for group, table in tables:
        title = f"p_infer_core, {group.key.core_item}s/s: {group.title}"
        console.table(table.headers, table.as_text(), title=title)
    columns = {name for _, table in tables for name in table.headers[1:] if "/" not in name}
    bare = columns | {name.partition(" (")[0] for name in columns}
    if not all(part in bare for pair in ratios for part in pair.split("/")):
        listed = ", ".join(sorted(columns))
        console.say(f"RATIO names columns that are not there; the columns are: {listed}")


def show_end(tally: Tally, console: Console, jobs: int, ratios: list[str]) -> None:
    """Show the tables of what was measured, now and before, and what became of the jobs."""
    read = [read_record(str(path)) for path in tally.paths]
    records = [
        record for record in read if not isinstance(record, Problem) and record.status in DONE
    ]
    if console.as_json:
        console.document(
            {"results": [str(path) for path in tally.paths], "exit_codes": tally.codes}
        )
    else:
        _show_tables(records, console, ratios)
    failed = sum(code != 0 for code in tally.codes)
    console.say(
        f"{jobs} jobs: {tally.run} run now, {len(tally.paths) - tally.run} measured before, "
        f"{failed} not well, {tally.skipped} skipped"
    )
    console.say("next: the same command again runs what is missing; `make report` shows everything")
