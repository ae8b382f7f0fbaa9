"""Loads folders of results: finds them, reads new ones on all cores, and keeps an index of them."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from driver.aggregate import columns, index
from driver.aggregate.problem import ProblemKind, ResultProblem
from driver.aggregate.reading import read_records
from driver.aggregate.tree import find_results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa  # type: ignore[import-untyped]

    from driver.aggregate.record import Record
    from driver.aggregate.tree import FoundFile, Tree

CHUNK = 500
"""Files that a worker reads at a time: about 4 MB of JSON."""
INLINE = 400
"""Up to this many files are read in this process; starting workers would take longer."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Every usable result, and every unusable file with its reason.

    ``table`` has one row per record, with Record's fields as columns. ``problems`` also lists edited
    results and results that share an id, although they are in the table. ``same_id`` has the paths
    of the latter.
    """

    folders: tuple[str, ...]
    files: int
    table: pa.Table
    problems: tuple[ResultProblem, ...]
    same_id: frozenset[str]

    def records(self) -> list[Record]:
        """Return all rows as records."""
        return columns.to_records(self.table)


def load_results(
    folders: Sequence[Path],
    *,
    tree: Tree | None = None,
    home: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
    submit: Callable[..., object] = lambda function, *arguments: function(*arguments),
) -> Loaded:
    """Read the results below the folders; with ``home``, keep an index for the next time.

    ``submit`` writes the index, an executor's beside what the caller does next.

    ``tree`` is the result of find_results if the caller already has it. ``on_progress(done, all)``
    counts the files that must be read. Raises UsageFault if a folder does not exist; anything wrong
    inside a folder is listed in ``problems``.
    """
    tree = tree or find_results(folders)
    path = index.index_path(home, folders) if home is not None else None
    known = index.read_index(path) if path is not None else None
    kept, fresh = index.split(known, tree.files)
    parts = [] if kept is None else [kept]
    parts += _read(fresh, on_progress)
    table = kept if kept is not None and not fresh else _joined(parts)
    changed = bool(fresh) or kept is not known
    # 120 MB for 100,000 results, which what follows needs.
    del known, kept, parts
    if path is not None and changed:
        submit(index.write_index, path, table)
    return _loaded(folders, table, tree.problems)


def _read(
    files: Sequence[FoundFile], on_progress: Callable[[int, int], None]
) -> Iterator[pa.Table]:
    files = sorted(files, key=lambda file: file.inode)
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    done = 0
    for chunk, outcomes in zip(chunks, _outcomes(chunks, len(files)), strict=True):
        done += len(chunk)
        on_progress(done, len(files))
        yield columns.to_table(chunk, outcomes)


def _outcomes(
    chunks: Sequence[Sequence[FoundFile]], count: int
) -> Iterator[list[Record | ResultProblem]]:
    paths = [[file.path for file in chunk] for chunk in chunks]
    workers = len(os.sched_getaffinity(0))
    if count <= INLINE or workers == 1:
        yield from map(read_records, paths)
        return
    # spawn, because a forked child would inherit the locks of Arrow's threads.
    context = multiprocessing.get_context("spawn")
    # Parsed documents have no reference cycles; the garbage collector took a tenth of the time.
    with ProcessPoolExecutor(
        min(workers, len(chunks)), mp_context=context, initializer=gc.disable
    ) as pool:
        yield from pool.map(read_records, paths)


def _joined(parts: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    if not parts:
        return columns.to_table([], [])
    return pa.concat_tables(parts).sort_by("path")


def _loaded(folders: Sequence[Path], table: pa.Table, walked: Sequence[ResultProblem]) -> Loaded:
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    # A filter copies every column, even where it drops no row.
    sound = table.column("problem_kind").null_count == table.num_rows
    good = table if sound else table.filter(pc.is_null(table.column("problem_kind")))
    paths = good.column("path").to_pylist()
    ids = good.column("result_id").to_pylist()
    edited = good.column("edited").to_pylist()
    # An edited copy still has the original's digest, but it is a different result, not a copy.
    digests = [
        None if changed else digest
        for changed, digest in zip(edited, good.column("digest").to_pylist(), strict=True)
    ]
    copies = _copies(paths, digests)
    rivals = _same_id(paths, ids, set(copies))
    problems = [*walked, *columns.to_problems(table), *copies.values(), *rivals.values()]
    problems += [_edited(path) for path, is_edited in zip(paths, edited, strict=True) if is_edited]
    if copies:
        keep = [row for row, path in enumerate(paths) if path not in copies]
        good = good.take(pa.array(keep, pa.int64()))
    return Loaded(
        folders=tuple(str(folder) for folder in folders),
        files=table.num_rows,
        table=good,
        problems=tuple(sorted(problems)),
        same_id=frozenset(rivals),
    )


def _copies(paths: Sequence[str], digests: Sequence[str | None]) -> dict[str, ResultProblem]:
    """Return a problem for each copy of a result, by path; the first of each stays in the tables."""
    first: dict[str, str] = {}
    copies = {}
    for path, digest in zip(paths, digests, strict=True):
        if digest is None:
            continue
        original = first.setdefault(digest, path)
        if original != path:
            message = f"it is a copy of {original}, so it does not count again"
            copies[path] = ResultProblem(path, ProblemKind.COPY, message, "remove one of the two")
    return copies


def _same_id(
    paths: Sequence[str], ids: Sequence[str], copies: set[str]
) -> dict[str, ResultProblem]:
    """Return a problem for each of the different results that share an id, by path."""
    counts = Counter(ids)
    if len(counts) == len(ids):
        return {}
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for path, result_id in zip(paths, ids, strict=True):
        if counts[result_id] > 1 and path not in copies:
            groups[result_id].append(path)
    return {
        path: ResultProblem(
            path,
            ProblemKind.SAME_ID,
            f"{len(group)} different results have the id {result_id}",
            "find out which one was measured; both are shown and marked",
        )
        for result_id, group in groups.items()
        if len(group) > 1
        for path in group
    }


def _edited(path: str) -> ResultProblem:
    return ResultProblem(
        path,
        ProblemKind.EDITED,
        "its digest does not match: it was edited after it was written",
        "copy the original from where it was measured; this one is marked as edited and never compared",
    )
