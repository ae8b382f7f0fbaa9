"""The stamp that lets an unchanged report be left as it is: what it was made from, what was written."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from driver.aggregate.problem import ProblemKind, ResultProblem
from driver.report.details.kept import states_beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from driver.aggregate.tree import Tree
    from driver.published.columns import Language
    from driver.published.rows import PublishedFigure
    from driver.report.details.kept import States

SOURCES = (".py", ".js", ".css", ".j2")
STAMP = ".stamp.json"
NAMES = ("report.html", "report.md", "results.csv", "results.parquet", "problems.csv")


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The user's options. ``out`` is a folder; ``fresh`` rewrites the report even if nothing changed.

    ``every`` shows all results of a job, not only the newest.
    """

    out: Path
    home: Path | None = None
    language: Language = "en"
    simulated: bool = False
    synthetic: bool = False
    every: bool = False
    published: Sequence[PublishedFigure] = ()
    fresh: bool = False
    on_progress: Callable[[int, int], None] = field(default=lambda _done, _all: None)


class FirstTable(NamedTuple):
    """A table of the newest rows, as text."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """The files that were written, and what the terminal shows of them.

    ``tables`` are the newest FIRST_ROWS rows, ``first_problems`` the first FIRST_PROBLEMS problems.
    ``up_to_date`` means that nothing had changed, so the existing files were kept.
    """

    files: tuple[Path, ...]
    results: int
    shown: int
    problems: int
    simulated_left_out: int
    synthetic_left_out: int
    notices: tuple[str, ...]
    tables: tuple[FirstTable, ...] = ()
    first_problems: tuple[ResultProblem, ...] = ()
    up_to_date: bool = False

    @property
    def html(self) -> Path:
        """Return the path of the page."""
        return self.files[0]


def fingerprint_of(tree: Tree, options: ReportOptions) -> str:
    """Return the hash of what determines the report before a result is read: files, options, this code."""
    asked = [
        options.language,
        options.simulated,
        options.synthetic,
        options.every,
        [figure.model_dump(mode="json") for figure in options.published],
    ]
    whole = hashlib.sha256(json.dumps([asked, code_version(), tree.problems]).encode())
    # No path contains a zero byte.
    whole.update("\0".join(tree.files.paths).encode("utf-8", "surrogateescape"))
    whole.update(tree.files.ctimes_ns)
    whole.update(tree.files.sizes)
    return whole.hexdigest()


@cache
def code_version() -> str:
    """Return the hash of the driver's code, and of what the page is made of."""
    whole = hashlib.sha256()
    for path in sorted(_sources()):
        whole.update(Path(path).read_bytes())
    return whole.hexdigest()


def _sources() -> Iterator[str]:
    for folder, inner, names in os.walk(Path(__file__).parent.parent):
        # As many files again as there are of code.
        inner[:] = [name for name in inner if name != "__pycache__"]
        yield from (f"{folder}/{name}" for name in names if name.endswith(SOURCES))


def written_state(path: Path) -> list[int]:
    """Return what a file keeps when it is renamed: its size, and when it was written."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def stamp_of(
    made: ReportFiles,
    fingerprint: str,
    beside: Mapping[str, States],
    written: Mapping[str, list[int]],
) -> dict[str, Any]:
    """Return the JSON document by which a later run recognizes these files as up to date.

    ``beside`` has what was beside each result that they show: an audit may be written later. ``written``
    has the state of each of NAMES as this report wrote it: another one may write to the same folder.
    """
    return {
        "fingerprint": fingerprint,
        "shown_paths": list(beside),
        "beside": _digest_of(beside),
        "states": [written[name] for name in NAMES],
        "results": made.results,
        "shown": made.shown,
        "problems": made.problems,
        "simulated_left_out": made.simulated_left_out,
        "synthetic_left_out": made.synthetic_left_out,
        "notices": list(made.notices),
        "tables": made.tables,
        "first_problems": made.first_problems,
    }


def _digest_of(beside: Mapping[str, States]) -> str:
    return hashlib.sha256(json.dumps(list(beside.values())).encode()).hexdigest()


def kept_files(out: Path, fingerprint: str) -> ReportFiles | None:
    """Return the report in ``out`` if its stamp matches ``fingerprint``, else None."""
    try:
        if not (out / STAMP).is_file():  # a pipe would be waited for
            return None
        stamp = json.loads((out / STAMP).read_text(encoding="utf-8"))
        states = [written_state(out / name) for name in NAMES]
        if stamp.pop("fingerprint") != fingerprint or stamp.pop("states") != states:
            return None
        if stamp.pop("beside") != _digest_of(states_beside(stamp.pop("shown_paths"))):
            return None
        files = tuple(out / name for name in NAMES)
        tables = [
            FirstTable(title, tuple(headers), tuple(map(tuple, rows)))
            for title, headers, rows in stamp.pop("tables")
        ]
        problems = [
            ResultProblem(path, ProblemKind(kind), message, remedy)
            for path, kind, message, remedy in stamp.pop("first_problems")
        ]
        return ReportFiles(
            files=files,
            notices=tuple(stamp.pop("notices")),
            tables=tuple(tables),
            first_problems=tuple(problems),
            up_to_date=True,
            **stamp,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
