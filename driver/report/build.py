"""`make report`: folders of results in, the report's files out."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from driver.aggregate.groups import comparable_rows, grouped, row_order
from driver.aggregate.load import Loaded, load_results
from driver.aggregate.selection import newest, select
from driver.aggregate.tables import table
from driver.aggregate.tree import find_results
from driver.errors import EnvironmentFault
from driver.report.details import pack_details
from driver.report.files import write_csv, write_parquet, write_problems
from driver.report.markdown import render_markdown
from driver.report.page import render_page
from driver.report.payload import ordered, payload
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

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driver.aggregate.groups import Group
    from driver.aggregate.record import Record
    from driver.aggregate.selection import Selection

__all__ = ["FirstTable", "ReportFiles", "ReportOptions", "report"]

SHOWN_ROWS = 5000
"""Rows of the page and of Markdown; CSV and Parquet hold all."""
SERIES_ROWS = 600
"""Rows that bring their latency and monitor series into the page, shared out among the tables."""
FIRST_ROWS = 60
FIRST_PROBLEMS = 20
MAX_HTML_BYTES = 6_000_000
NOTHING = "nothing measured yet"
NOTHING_REMEDY = "make run measures the small case on this machine; then: make report"


def report(folders: Sequence[Path], options: ReportOptions) -> ReportFiles:
    """Write the report on the results below ``folders`` into ``options.out``.

    Raises UsageFault for a folder that is not there, EnvironmentFault where ``out`` cannot be written.
    An empty tree gives a report that says "nothing measured yet".
    """
    tree = find_results(folders)
    stamp = fingerprint_of(tree, options)
    if not options.fresh and (kept := kept_files(options.out, stamp)) is not None:
        return kept
    loaded = load_results(folders, tree=tree, home=options.home, on_progress=options.on_progress)
    selection = select(loaded.table, simulated=options.simulated, synthetic=options.synthetic)
    records = newest(selection.table, SHOWN_ROWS)
    groups, rows = ordered(records)
    notices = _notices(loaded, selection, len(rows))
    facts = _facts(loaded, selection, groups)
    markdown = render_markdown(
        groups,
        language=options.language,
        same_id=loaded.same_id,
        facts=facts,
        notices=notices,
        problems=loaded.problems,
    )
    page = _html(groups, loaded, options, facts, notices)
    _write(
        options.out,
        {
            "report.html": _writing(page),
            "report.md": _writing(markdown),
            "results.csv": partial(write_csv, selection.table),
            "results.parquet": partial(write_parquet, selection.table),
            "problems.csv": partial(write_problems, loaded.problems),
        },
    )
    made = ReportFiles(
        files=tuple(options.out / name for name in NAMES),
        results=loaded.table.num_rows,
        shown=len(rows),
        problems=len(loaded.problems),
        simulated_left_out=selection.simulated_left_out,
        synthetic_left_out=selection.synthetic_left_out,
        notices=tuple(notices),
        tables=_first_tables(selection, loaded, options),
        first_problems=loaded.problems[:FIRST_PROBLEMS],
    )
    _write(options.out, {STAMP: _writing(json.dumps(stamp_of(made, stamp)))})
    return made


def _first_tables(
    selection: Selection, loaded: Loaded, options: ReportOptions
) -> tuple[FirstTable, ...]:
    """Return the newest rows as tables for a terminal."""
    groups = grouped(newest(selection.table, FIRST_ROWS))
    tables = [table(group.records, options.language, loaded.same_id) for group in groups]
    return tuple(
        FirstTable(group.title, found.headers, tuple(found.as_text()))
        for group, found in zip(groups, tables, strict=True)
    )


def _html(
    groups: Sequence[Group],
    loaded: Loaded,
    options: ReportOptions,
    facts: Sequence[tuple[str, str]],
    notices: Sequence[str],
) -> str:
    data = payload(
        groups,
        language=options.language,
        same_id=loaded.same_id,
        problems=loaded.problems,
        published=options.published,
    )
    empty = render_page(data, pack_details([], with_series=(), limit_bytes=0), facts, notices)
    # Some 70 bytes around each of the chunks: a hundredth of the file is room enough.
    room = int(0.99 * (MAX_HTML_BYTES - len(empty.encode())))
    paths = [record.path for group in groups for record in group.records]
    chunks = pack_details(paths, with_series=_with_series(groups), limit_bytes=room)
    return render_page(data, chunks, facts, notices)


def _with_series(groups: Sequence[Group]) -> set[str]:
    """Return the results whose series the charts can show: the fastest of each line, newest first."""
    chosen: set[str] = set()
    for group in groups:
        # Rows of one line and batch size stand newest first: that one is drawn.
        drawn = {
            (*row_order(row), row.stack): row for row in reversed(comparable_rows(group.records))
        }
        lines: dict[tuple[object, ...], Record] = {}
        for record in sorted(drawn.values(), key=lambda row: row.p_infer_core or 0):
            lines[row_order(record)[:-1]] = record
        fastest = list(lines.values())[::-1]
        chosen |= {record.path for record in fastest[: max(8, SERIES_ROWS // len(groups))]}
    return chosen


def _notices(loaded: Loaded, selection: Selection, shown: int) -> list[str]:
    told = []
    if not loaded.files:
        told.append(f"{NOTHING}: {NOTHING_REMEDY}")
    if selection.simulated_left_out:
        told.append(
            f"{selection.simulated_left_out} simulated results are left out: SIMULATED=1 shows them, marked"
        )
    if selection.synthetic_left_out:
        told.append(
            f"{selection.synthetic_left_out} results with synthetic weights or data are left out: "
            "SYNTHETIC=1 shows them, marked"
        )
    if shown < selection.table.num_rows:
        told.append(
            f"the newest {shown} of {selection.table.num_rows} rows stand here, "
            "all of them in results.csv and results.parquet"
        )
    if loaded.problems:
        told.append(f"{len(loaded.problems)} problems, each with its reason at the end")
    return told


def _facts(loaded: Loaded, selection: Selection, groups: Sequence[Group]) -> list[tuple[str, str]]:
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    rows = selection.table
    failed = pc.sum(pc.equal(rows.column("status"), "accuracy_failed")).as_py() or 0
    dates = pc.min_max(rows.column("started_utc")).as_py()
    spans = sorted({(dates[bound] or "/")[:10] for bound in ("min", "max")})
    return [
        ("results", f"{rows.num_rows:,}"),
        ("tables", f"{len(groups):,}"),
        ("cases", str(len(pc.unique(rows.column("case"))))),
        ("chips", str(len(pc.unique(rows.column("chip"))))),
        ("accuracy failed", f"{failed:,}"),
        ("problems", f"{len(loaded.problems):,}"),
        ("measured", " – ".join(spans)),
    ]


def _writing(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text.encode("utf-8", "replace"))


def _write(folder: Path, writers: dict[str, Callable[[Path], object]]) -> None:
    """Let each writer write its file, whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, writer in writers.items():
            draft = folder / f".{name}.{os.getpid()}"
            writer(draft)
            draft.replace(folder / name)
    except OSError as error:
        raise EnvironmentFault(
            f"the report cannot be written to {folder}: {error.strerror}",
            "name another folder: make report OUT=<folder>",
        ) from error
