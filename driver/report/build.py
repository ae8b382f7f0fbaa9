"""`make report`: reads folders of results and writes the report's files."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate import columns
from driver.aggregate.groups import comparable_rows, grouped, row_order
from driver.aggregate.load import Loaded, load_results
from driver.aggregate.selection import newest, per_job, select
from driver.aggregate.tables import table, token_table
from driver.aggregate.tree import find_results
from driver.audit.reading import audits_read_once
from driver.errors import EnvironmentFault, UsageFault
from driver.published.chinese import said
from driver.report.cards.rows import CARDS_HEADERS, card_rows, outlier_notices
from driver.report.cards.spread import card_spreads
from driver.report.details import pack_details
from driver.report.failed import failed_rows
from driver.report.files import with_newest, write_csv, write_parquet, write_problems
from driver.report.head import head_of
from driver.report.markdown import TOKENS, cards_section, render_markdown
from driver.report.page import render_page
from driver.report.payload import common_size, ordered, payload
from driver.report.stamp import (
    NAMES,
    STAMP,
    FirstTable,
    ReportFiles,
    ReportOptions,
    fingerprint_of,
    kept_files,
    stamp_of,
)
from driver.report.trend import trend_lines, trends
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from driver.aggregate.groups import Group
    from driver.aggregate.problem import ResultProblem
    from driver.aggregate.record import Record
    from driver.aggregate.selection import PerJob
    from driver.aggregate.tree import Tree
    from driver.report.head import Head
    from driver.report.trend import Trend

__all__ = ["FirstTable", "ReportFiles", "ReportOptions", "report"]

SHOWN_ROWS = 5000
"""Most rows in the page and in Markdown; CSV and Parquet hold all of them."""
SERIES_ROWS = 600
"""Rows whose latency and monitor series are embedded in the page, divided among the tables."""
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
        made = _made(folders, tree, options, pool)
    _write(options.out, {STAMP: _writing(json.dumps(stamp_of(made, stamp)))})
    return made


def _made(
    folders: Sequence[Path], tree: Tree, options: ReportOptions, pool: Executor
) -> ReportFiles:
    loaded = load_results(
        folders, tree=tree, home=options.home, on_progress=options.on_progress, submit=pool.submit
    )
    selection = select(loaded.table, simulated=options.simulated, synthetic=options.synthetic)
    found = per_job(selection.table, every=options.every)
    marked = with_newest(selection.table, found)
    tables = {
        "results.csv": partial(write_csv, marked),
        "results.parquet": partial(write_parquet, marked),
        "problems.csv": partial(write_problems, loaded.problems),
    }
    written = [pool.submit(_write, options.out, {name: writer}) for name, writer in tables.items()]
    failed = failed_rows(columns.to_records(found.failed))
    groups, rows = ordered(newest(found.shown, SHOWN_ROWS), options.language)
    spreads = card_spreads(rows)
    head = head_of(loaded, selection, found, groups, options.language)
    notices = (*outlier_notices(spreads, options.language), *head.notices)
    head, cards = head._replace(notices=notices), card_rows(spreads)
    markdown = render_markdown(
        groups,
        language=options.language,
        same_id=loaded.same_id,
        head=head,
        problems=loaded.problems,
        failed=failed,
    ) + cards_section(cards, options.language)
    page = _html(Shown(groups, failed, cards, trends(selection.table)), loaded, options, head)
    _write(options.out, {"report.html": _writing(page), "report.md": _writing(markdown)})
    for one in written:
        one.result()
    return ReportFiles(
        files=tuple(options.out / name for name in NAMES),
        results=loaded.table.num_rows,
        shown=len(rows),
        problems=len(loaded.problems),
        simulated_left_out=selection.simulated_left_out,
        synthetic_left_out=selection.synthetic_left_out,
        notices=head.notices,
        tables=_first_tables(found, loaded, options),
        first_problems=loaded.problems[:FIRST_PROBLEMS],
    )


class Shown(NamedTuple):
    """What the page shows: tables of results, rows of runs that failed and of kinds of card, trends."""

    groups: Sequence[Group]
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


def _first_tables(found: PerJob, loaded: Loaded, options: ReportOptions) -> tuple[FirstTable, ...]:
    """Return the newest rows as tables for a terminal."""
    groups = grouped(newest(found.shown, FIRST_ROWS), options.language)
    language = options.language
    tables = []
    for group in groups:
        rows = table(group.records, language, loaded.same_id)
        tables.append(FirstTable(group.title, rows.headers, tuple(rows.as_text())))
        tokens = token_table(group.records, language)
        if tokens.rows:
            title = f"{group.title} · {said(TOKENS, language)}"
            tables.append(FirstTable(title, tokens.headers, tuple(tokens.as_text())))
    return tuple(tables)


def _html(
    shown: Shown,
    loaded: Loaded,
    options: ReportOptions,
    head: Head,
) -> str:
    groups = shown.groups
    data = payload(
        groups,
        failed=shown.failed,
        language=options.language,
        same_id=loaded.same_id,
        problems=loaded.problems,
        published=options.published,
    )
    data["cards"] = {"headers": CARDS_HEADERS, "rows": shown.cards}
    data["trends"] = trend_lines(shown.trends, groups, options.language)
    empty = render_page(data, pack_details([], with_series=(), limit_bytes=0), *head)
    # Each chunk's script tag takes about 70 bytes; one percent of the file is enough for all.
    room = int(0.99 * (MAX_HTML_BYTES - len(empty.encode())))
    paths = [record.path for group in groups for record in group.records]
    chunks = pack_details(paths, with_series=_with_series(groups), limit_bytes=room)
    return render_page(data, chunks, *head)


def _with_series(groups: Sequence[Group]) -> set[str]:
    """Return the paths of the results whose series the charts can show.

    They are the fastest of each line, and the one at the batch size at which latencies are compared.
    """
    chosen: set[str] = set()
    for group in groups:
        # Rows of one line and batch size are sorted newest first; the chart draws the newest.
        drawn = {
            (*row_order(row), row.stack): row for row in reversed(comparable_rows(group.records))
        }
        lines: dict[tuple[object, ...], Record] = {}
        for record in sorted(drawn.values(), key=lambda row: row.p_infer_core or 0):
            lines[row_order(record)[:-1]] = record
        fastest = list(lines.values())[::-1]
        size = common_size(group.records)
        alike = [record for record in drawn.values() if record.batch_size == size]
        room = max(8, SERIES_ROWS // len(groups))
        chosen |= {record.path for kind in (fastest, alike) for record in kind[: room // 2 or 1]}
    return chosen


def _writing(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text.encode("utf-8", "replace"))


def _write(folder: Path, writers: dict[str, Callable[[Path], object]]) -> None:
    """Let each writer write its file atomically."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, writer in writers.items():
            draft = folder / f".{name}.{os.getpid()}"
            writer(draft)
            draft.replace(folder / name)
    except OSError as error:
        raise EnvironmentFault(
            f"the report cannot be written to {folder}: {error.strerror}",
            "choose another folder: make report OUT=<folder>",
        ) from error
