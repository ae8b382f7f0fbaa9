"""What `sweep` shows at its end: tables by batch size with ratios, what is marked and why, the counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from driver.aggregate.groups import comparable_rows, grouped
from driver.aggregate.problem import ResultProblem
from driver.aggregate.reading import read_record
from driver.aggregate.tables import batch_table
from driver.errors import UsageFault
from driver.plan.request import split_list
from driver.results.concerns import CORE, MARK
from driver.results.history import DONE
from driver.system.plain_text import counted, plain
from driver.system.user.own_command import OwnCommand

if TYPE_CHECKING:
    from pathlib import Path

    from driver.aggregate.record import Record
    from driver.console import Console


@dataclass(kw_only=True)
class Tally:
    """The outcome of the jobs: their result.json files and exit codes, and how many ran."""

    paths: list[Path] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    run: int = 0
    before: int = 0
    skipped: int = 0


def pairs_asked(text: str | None) -> list[str]:
    """Return the ratios in RATIO, each as "A/B". Raises UsageFault for an invalid one."""
    asked = []
    for member in filter(None, split_list(text)):
        columns = [part.strip() for part in member.split("/")]
        if len(columns) != 2 or not all(columns):
            raise UsageFault(
                f"RATIO={member} is not a ratio of two columns",
                "for example: RATIO=310P/T4,310P/310",
            )
        asked.append("/".join(columns))
    return asked


def _show_tables(records: list[Record], console: Console, ratios: list[str]) -> None:
    """Show one table per group of comparable results."""
    tables = [(group, batch_table(group.records, ratios=ratios)) for group in grouped(records)]
    for group, table in tables:
        title = f"p_infer_core, {group.key.core_item}s/s: {group.title}"
        console.table(table.headers, table.as_text(), title=title)
        for record in comparable_rows(group.records):
            if CORE in record.marked_figures:
                console.say(f"  {MARK} {_row_name(record)}: {'; '.join(record.figure_marks)}")
    columns = {name for _, table in tables for name in table.headers[1:] if "/" not in name}
    bare = columns | {name.partition(" (")[0] for name in columns}
    if not all(part in bare for pair in ratios for part in pair.split("/")):
        listed = ", ".join(sorted(columns))
        console.say(f"RATIO names unknown columns; the columns are: {listed}")


def _row_name(record: Record) -> str:
    return plain(f"{record.chip} {record.engine} {record.precision} bs{record.batch_size}")


def show_end(
    tally: Tally, console: Console, jobs: int, ratios: list[str], *, dry: bool = False
) -> None:
    """Show the tables of all results, new and old, and how many jobs ran, failed or were skipped.

    ``dry``: nothing was run, only planned.
    """
    read = [read_record(str(path)) for path in tally.paths]
    records = [
        record for record in read if not isinstance(record, ResultProblem) and record.status in DONE
    ]
    if console.as_json:
        console.document(
            {
                "results": [str(path) for path in tally.paths],
                "exit_codes": tally.codes,
                "marks": {one.path: list(one.figure_marks) for one in records if one.figure_marks},
            }
        )
    else:
        _show_tables(records, console, ratios)
    failed = sum(code != 0 for code in tally.codes)
    console.say(
        f"{counted(jobs, 'job')}: {tally.run} run now, {tally.before} measured before, "
        f"{failed} failed, {tally.skipped} skipped"
    )
    console.say(f"next: {_next(console.own_command(), dry=dry)}")


def _next(own: OwnCommand | None, *, dry: bool) -> str:
    if own is None or own.verb != "sweep":
        own = OwnCommand(verb="sweep", given={})
    if {"ATTACH", "CANCEL"} & set(own.given):
        return (
            f"the same `make sweep` as then runs what is missing; `{own.other('report', {})}` shows "
            "all results"
        )
    if dry:
        return f"`{own.changed({'DRY_RUN': None})}` runs what is missing"
    return f"`{own}` again for the missing jobs; `{own.other('report', {})}` shows all results"
