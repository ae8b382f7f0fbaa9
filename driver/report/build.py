"""`make report`: folders of results in, the report's files out."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.aggregate.groups import comparable_rows, row_order
from driver.aggregate.load import Loaded, load_results
from driver.aggregate.selection import newest, select
from driver.aggregate.tree import find_results
from driver.errors import EnvironmentFault
from driver.report.details import pack_details
from driver.report.files import csv_bytes, parquet_bytes, problems_csv
from driver.report.markdown import render_markdown
from driver.report.page import render_page
from driver.report.payload import ordered, payload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from driver.aggregate.groups import Group
    from driver.aggregate.published import PublishedFigure
    from driver.aggregate.record import Record
    from driver.aggregate.selection import Selection
    from driver.aggregate.tables import Language

SHOWN_ROWS = 5000
"""Rows of the page and of Markdown; CSV and Parquet hold all."""
SERIES_ROWS = 600
"""Rows that bring their latency and monitor series into the page, shared out among the tables."""
MAX_HTML_BYTES = 6_000_000
STAMP = ".stamp.json"
NAMES = ("report.html", "report.md", "results.csv", "results.parquet", "problems.csv")
NOTHING = "nothing measured yet"
NOTHING_REMEDY = "make run measures the small case on this machine; then: make report"


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What is asked for. ``out`` is a folder; ``fresh`` writes even where nothing changed."""

    out: Path
    home: Path | None = None
    language: Language = "en"
    simulated: bool = False
    synthetic: bool = False
    published: Sequence[PublishedFigure] = ()
    fresh: bool = False
    on_progress: Callable[[int, int], None] = field(default=lambda _done, _all: None)


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """What was written, and the figures that the report's first lines say.

    ``up_to_date``: nothing had changed since these files were written, so they were left as they are.
    """

    files: tuple[Path, ...]
    results: int
    shown: int
    problems: int
    simulated_left_out: int
    synthetic_left_out: int
    notices: tuple[str, ...]
    up_to_date: bool = False

    @property
    def html(self) -> Path:
        """Return the page."""
        return self.files[0]


def report(folders: Sequence[Path], options: ReportOptions) -> ReportFiles:
    """Write the report on the results below ``folders`` into ``options.out``.

    Raises UsageFault for a folder that is not there, EnvironmentFault where ``out`` cannot be written.
    An empty tree gives a report that says "nothing measured yet".
    """
    stamp = _fingerprint(folders, options)
    if not options.fresh and (kept := _kept(options.out, stamp)) is not None:
        return kept
    loaded = load_results(folders, home=options.home, on_progress=options.on_progress)
    selection = select(loaded.table, simulated=options.simulated, synthetic=options.synthetic)
    records = newest(selection.table, SHOWN_ROWS)
    groups, rows = ordered(records)
    notices = _notices(loaded, selection, len(rows))
    facts = _facts(loaded, selection, groups)
    contents = {
        "report.html": _html(groups, loaded, options, facts, notices),
        "report.md": render_markdown(
            groups,
            language=options.language,
            same_id=loaded.same_id,
            facts=facts,
            notices=notices,
            problems=loaded.problems,
        ).encode("utf-8", "replace"),
        "results.csv": csv_bytes(selection.table),
        "results.parquet": parquet_bytes(selection.table),
        "problems.csv": problems_csv(loaded.problems),
    }
    made = ReportFiles(
        files=tuple(options.out / name for name in NAMES),
        results=loaded.table.num_rows,
        shown=len(rows),
        problems=len(loaded.problems),
        simulated_left_out=selection.simulated_left_out,
        synthetic_left_out=selection.synthetic_left_out,
        notices=tuple(notices),
    )
    _write(options.out, contents)
    _write(options.out, {STAMP: json.dumps(_stamp(made, stamp)).encode()})
    return made


def _html(
    groups: Sequence[Group],
    loaded: Loaded,
    options: ReportOptions,
    facts: Sequence[tuple[str, str]],
    notices: Sequence[str],
) -> bytes:
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
    return render_page(data, chunks, facts, notices).encode("utf-8", "replace")


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

    table = selection.table
    failed = pc.sum(pc.equal(table.column("status"), "accuracy_failed")).as_py() or 0
    dates = pc.min_max(table.column("started_utc")).as_py()
    spans = sorted({(dates[bound] or "/")[:10] for bound in ("min", "max")})
    return [
        ("results", f"{table.num_rows:,}"),
        ("tables", f"{len(groups):,}"),
        ("cases", str(len(pc.unique(table.column("case"))))),
        ("chips", str(len(pc.unique(table.column("chip"))))),
        ("accuracy failed", f"{failed:,}"),
        ("problems", f"{len(loaded.problems):,}"),
        ("measured", " – ".join(spans)),
    ]


# --- up to date --------------------------------------------------------------------------------


def _fingerprint(folders: Sequence[Path], options: ReportOptions) -> str:
    """Return the hash of everything the report follows from: files, options, this code."""
    tree = find_results(folders)
    asked = [options.language, options.simulated, options.synthetic, list(options.published)]
    whole = hashlib.sha256(json.dumps([asked, _code_version(), tree.problems]).encode())
    for file in tree.files:
        whole.update(f"{file.path}\0{file.ctime_ns}\0{file.size}\n".encode("utf-8", "replace"))
    return whole.hexdigest()


def _code_version() -> str:
    whole = hashlib.sha256()
    driver = Path(__file__).parent.parent
    parts = ("report", "aggregate", "models")
    for path in sorted(path for part in parts for path in (driver / part).rglob("*.*")):
        if path.suffix in (".py", ".js", ".css", ".j2") and path.is_file():
            whole.update(path.read_bytes())
    return whole.hexdigest()


def _states(folder: Path) -> list[list[int]]:
    found = [(folder / name).stat() for name in NAMES]
    return [[state.st_size, state.st_mtime_ns] for state in found]


def _stamp(made: ReportFiles, fingerprint: str) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "states": _states(made.files[0].parent),
        "results": made.results,
        "shown": made.shown,
        "problems": made.problems,
        "simulated_left_out": made.simulated_left_out,
        "synthetic_left_out": made.synthetic_left_out,
        "notices": list(made.notices),
    }


def _kept(out: Path, fingerprint: str) -> ReportFiles | None:
    """Return the files that lie in ``out`` if they are what would be written now."""
    try:
        stamp = json.loads((out / STAMP).read_text(encoding="utf-8"))
        if stamp.pop("fingerprint") != fingerprint or stamp.pop("states") != _states(out):
            return None
        files = tuple(out / name for name in NAMES)
        return ReportFiles(
            files=files, notices=tuple(stamp.pop("notices")), up_to_date=True, **stamp
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(folder: Path, contents: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            draft = folder / f".{name}.{os.getpid()}"
            draft.write_bytes(content)
            draft.replace(folder / name)
    except OSError as error:
        raise EnvironmentFault(
            f"the report cannot be written to {folder}: {error.strerror}",
            "name another folder: make report OUT=<folder>",
        ) from error
