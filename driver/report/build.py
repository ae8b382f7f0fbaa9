"""`make report`: reads folders of results and writes the report's files."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.groups import grouped
from driver.aggregate.load import Loaded, load_results
from driver.aggregate.problem import ProblemKind
from driver.aggregate.selection import per_job, select
from driver.aggregate.tables import scenario_table, section_of, table, token_table
from driver.aggregate.tree import find_results
from driver.audit.reading import audits_read_once, without_audit
from driver.errors import EnvironmentFault, UsageFault
from driver.published.chinese import said
from driver.report.cards.rows import CARDS_HEADERS, card_rows, outlier_notices
from driver.report.cards.spread import card_spreads
from driver.report.csv_parts import CsvFile
from driver.report.details.chunks import NO_CHUNKS, pack_details
from driver.report.details.kept import KeptDetails, kept_path, states_beside
from driver.report.details.series import with_series
from driver.report.failed import FAILED_ROWS, failed_rows
from driver.report.files import with_newest, write_parquet, write_problems
from driver.report.head import head_of
from driver.report.markdown import SCENARIOS, TOKENS, cards_section, render_markdown
from driver.report.page import page_of
from driver.report.payload import ordered, payload
from driver.report.stamp import (
    NAMES,
    STAMP,
    FirstTable,
    ReportFiles,
    ReportOptions,
    code_version,
    fingerprint_of,
    kept_files,
    stamp_of,
    written_state,
)
from driver.report.trend import repeated_rows, trend_lines, trends
from driver.system.files import draft_mark
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor

    from driver.aggregate.problem import ResultProblem
    from driver.aggregate.record import Record
    from driver.aggregate.tables import Section
    from driver.aggregate.tree import Tree
    from driver.report.details.kept import States
    from driver.report.head import Head
    from driver.report.trend import Trend

__all__ = ["FirstTable", "ReportFiles", "ReportOptions", "report"]

SHOWN_ROWS = 5000
"""Most rows in the page and in Markdown; CSV and Parquet hold all of them."""
FIRST_ROWS = 60
FIRST_PROBLEMS = 20
MAX_HTML_BYTES = 6_000_000
WRITERS = 2
"""Threads that write tables: each keeps a core busy for a second with 100,000 results."""


def report(folders: Sequence[Path], options: ReportOptions) -> ReportFiles:
    """Write the report on the results below ``folders`` to ``options.out``.

    Raises UsageFault if a folder does not exist, EnvironmentFault if ``out`` cannot be written.
    UsageFault as well where there is no result below any of them.
    """
    tree = find_results(folders)
    if not tree.files:
        raise _nothing(folders, tree.problems)
    stamp = fingerprint_of(tree, options)
    if not options.fresh and (kept := kept_files(options.out, stamp)) is not None:
        return kept
    # Arrow writes without the interpreter's lock: the tables beside the page, which is Python's work.
    with ThreadPoolExecutor(WRITERS) as pool, audits_read_once():
        made, remembered = _made(folders, tree, options, pool)
    if remembered is not None:
        document = stamp_of(made, stamp, remembered.beside, remembered.written)
        _write(options.out, {STAMP: _writing(json.dumps(document))})
    return made


class _Remembered(NamedTuple):
    """What was beside the results that a report shows, and the states of the files that it wrote."""

    beside: Mapping[str, States]
    written: Mapping[str, list[int]]


def _made(
    folders: Sequence[Path], tree: Tree, options: ReportOptions, pool: Executor
) -> tuple[ReportFiles, _Remembered | None]:
    """Write the report; also return by what it is up to date, None where a file could not be read."""
    loaded = load_results(
        folders, tree=tree, home=options.home, on_progress=options.on_progress, submit=pool.submit
    )
    selection = select(loaded.table, simulated=options.simulated, synthetic=options.synthetic)
    found = per_job(selection.table, every=options.every)
    marked = with_newest(selection.table, found)
    csv_file = CsvFile(options.out / "results.csv", options.home, code_version())
    tables = {
        "results.csv": partial(csv_file.write, marked),
        "results.parquet": partial(write_parquet, marked),
        "problems.csv": partial(write_problems, loaded.problems),
    }
    written = [pool.submit(_write, options.out, {name: writer}) for name, writer in tables.items()]
    failed = failed_rows(found.failed(FAILED_ROWS))
    newest, repeated = found.newest(SHOWN_ROWS), repeated_rows(found)
    shown = found.records(newest)
    # Before anything of them is read: what is written meanwhile makes the next report another one.
    beside = states_beside(row.path for row in (*shown, *repeated))
    without_audit(path for path, (audit, *_) in beside.items() if audit is None)
    groups, rows = ordered(shown, options.language)
    spreads = card_spreads(rows)
    head = head_of(loaded, selection, found, groups, options.language)
    notices = (*outlier_notices(spreads, options.language), *head.notices)
    head, cards = head._replace(notices=notices), card_rows(spreads)
    sections = [section_of(group, options.language, loaded.same_id) for group in groups]
    markdown = render_markdown(
        sections,
        language=options.language,
        head=head,
        problems=loaded.problems,
        failed=failed,
    ) + cards_section(cards, options.language)
    kept = _kept_details(folders, tree, options, beside)
    page = _html(Shown(sections, failed, cards, trends(repeated)), loaded, options, head, kept)
    pages = {"report.html": _writing(page), "report.md": _writing(markdown)}
    states = _write(options.out, pages)
    for one in written:
        states |= one.result()
    csv_file.remember()
    kept.write()
    made = ReportFiles(
        files=tuple(options.out / name for name in NAMES),
        results=loaded.table.num_rows,
        shown=len(rows),
        problems=len(loaded.problems),
        simulated_left_out=selection.simulated_left_out,
        synthetic_left_out=selection.synthetic_left_out,
        notices=head.notices,
        tables=_first_tables(found.records(newest[:FIRST_ROWS]), loaded, options),
        first_problems=loaded.problems[:FIRST_PROBLEMS],
    )
    # What cannot be read now may be readable the next time, without a change of any file. What the walk could
    # not is asked again by every walk, and is part of what it finds.
    read = set(loaded.problems) - set(tree.problems)
    unread = any(problem.kind is ProblemKind.UNREADABLE for problem in read)
    return made, None if unread else _Remembered(beside, states)


def _kept_details(
    folders: Sequence[Path], tree: Tree, options: ReportOptions, beside: Mapping[str, States]
) -> KeptDetails:
    found = tree.files
    states = {
        path: (ctime_ns, size)
        for path, ctime_ns, size in zip(found.paths, found.ctimes_ns, found.sizes, strict=True)
        if path in beside
    }
    path = options.home and kept_path(options.home, folders)
    return KeptDetails(path, code_version(), results=states, beside=beside)


class Shown(NamedTuple):
    """What the page shows: tables of results, rows of runs that failed and of kinds of card, trends."""

    sections: Sequence[Section]
    failed: Sequence[Sequence[str]]
    cards: Sequence[Sequence[str]]
    trends: Sequence[Trend]


def _nothing(folders: Sequence[Path], problems: Sequence[ResultProblem]) -> UsageFault:
    where = ", ".join(plain(str(folder)) for folder in folders)
    unread = f" ({plain(problems[0].path)}: {problems[0].message})" if problems else ""
    return UsageFault(
        f"there is no result below {where}{unread}",
        "name the folder that has results: `make report OUT=<folder>`; `make run` measures one",
    )


def _first_tables(
    newest: Sequence[Record], loaded: Loaded, options: ReportOptions
) -> tuple[FirstTable, ...]:
    """Return the newest rows as tables for a terminal."""
    groups = grouped(newest, options.language)
    language = options.language
    tables = []
    for group in groups:
        rows = table(group.records, language, loaded.same_id)
        tables.append(FirstTable(group.title, rows.headers, tuple(rows.as_text())))
        tokens = token_table(group.records, language)
        if tokens.rows:
            title = f"{group.title} · {said(TOKENS, language)}"
            tables.append(FirstTable(title, tokens.headers, tuple(tokens.as_text())))
        loads = scenario_table(group.records, language)
        if loads.rows:
            title = f"{group.title} · {said(SCENARIOS, language)}"
            tables.append(FirstTable(title, loads.headers, tuple(loads.as_text())))
    return tuple(tables)


def _html(
    shown: Shown,
    loaded: Loaded,
    options: ReportOptions,
    head: Head,
    kept: KeptDetails,
) -> str:
    groups = [section.group for section in shown.sections]
    data = payload(
        shown.sections,
        failed=shown.failed,
        language=options.language,
        same_id=loaded.same_id,
        problems=loaded.problems,
        published=options.published,
    )
    data["cards"] = {"headers": CARDS_HEADERS, "rows": shown.cards}
    data["trends"] = trend_lines(shown.trends, groups, options.language)
    render = page_of(data, *head)
    # Each chunk's script tag takes about 70 bytes; one percent of the file is enough for all.
    room = int(0.99 * (MAX_HTML_BYTES - len(render(NO_CHUNKS).encode())))
    paths = [record.path for group in groups for record in group.records]
    return render(pack_details(paths, with_series=with_series(groups), limit_bytes=room, kept=kept))


def _writing(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text.encode("utf-8", "replace"))


def _write(folder: Path, writers: dict[str, Callable[[Path], object]]) -> dict[str, list[int]]:
    """Let each writer write its file atomically; return their states as they were written."""
    states = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, writer in writers.items():
            # A process's number may be another's, in a container or on a disk that hosts share.
            draft = folder / f".{name}.{draft_mark()}.{secrets.token_hex(4)}"
            try:
                writer(draft)
                states[name] = written_state(draft)
                draft.replace(folder / name)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise EnvironmentFault(
            f"the report cannot be written to {folder}: {error.strerror}",
            "choose another folder: make report OUT=<folder>",
        ) from error
    return states
