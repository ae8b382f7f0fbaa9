"""Loads folders of results: finds them, reads new ones on all cores, and keeps an index of them."""

from __future__ import annotations

import gc
import os
from collections import defaultdict
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
    from driver.aggregate.tree import FoundFile, FoundFiles, Tree

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
    table, update = _table(tree.files, path, on_progress)
    if path is not None and update is not None:
        submit(index.write_index, path, table, update)
    return _loaded(folders, table, tree.problems)


def _table(
    files: FoundFiles, path: Path | None, on_progress: Callable[[int, int], None]
) -> tuple[pa.Table, index.Update | None]:
    """Return one row per file, in order, and what of them the index lacks."""
    import numpy as np

    known = index.read_index(path)
    places = index.places(known, files)
    (fresh,) = np.nonzero(places < 0)
    # In the order of the disk.
    order = sorted(fresh.tolist(), key=files.inodes.__getitem__)
    places[order] = known.recent.num_rows + known.most.num_rows + np.arange(len(order))
    update = index.update(known, places)
    parts = [*known, *_read([files[place] for place in order], on_progress)]
    del known
    return columns.arranged(parts, places), update


def _read(
    files: Sequence[FoundFile], on_progress: Callable[[int, int], None]
) -> Iterator[pa.Table]:
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
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # spawn, because a forked child would inherit the locks of Arrow's threads.
    context = multiprocessing.get_context("spawn")
    # Parsed documents have no reference cycles; the garbage collector took a tenth of the time.
    with ProcessPoolExecutor(
        min(workers, len(chunks)), mp_context=context, initializer=gc.disable
    ) as pool:
        yield from pool.map(read_records, paths)


def _loaded(folders: Sequence[Path], table: pa.Table, walked: Sequence[ResultProblem]) -> Loaded:
    import pyarrow as pa
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    # A filter copies every column, even where it drops no row.
    sound = table.column("problem_kind").null_count == table.num_rows
    good = table if sound else table.filter(pc.is_null(table.column("problem_kind")))
    copies = _copies(good)
    if copies:
        kept = pc.invert(pc.is_in(good.column("path"), value_set=pa.array(list(copies))))
        good = good.filter(kept)
    rivals = _same_id(good)
    edited = good.column("path").filter(good.column("edited")).to_pylist()
    problems = [*walked, *columns.to_problems(table), *copies.values(), *rivals.values()]
    problems += [_edited(path) for path in edited]
    return Loaded(
        folders=tuple(str(folder) for folder in folders),
        files=table.num_rows,
        table=good,
        problems=tuple(sorted(problems)),
        same_id=frozenset(rivals),
    )


def _copies(table: pa.Table) -> dict[str, ResultProblem]:
    """Return a problem for each copy of a result, by path; the first of each stays in the tables."""
    import pyarrow.compute as pc

    # An edited copy still has the original's digest, but it is a different result, not a copy.
    named = pc.and_(pc.is_valid(table.column("digest")), pc.invert(table.column("edited")))
    copies = {}
    signed = table.select(["digest", "path"])
    # A filter copies every column, even where it drops no row.
    signed = signed if pc.all(named).as_py() else signed.filter(named)
    for paths in _sharing(signed, "digest").values():
        for path in paths[1:]:
            message = f"it is a copy of {paths[0]}, so it does not count again"
            copies[path] = ResultProblem(path, ProblemKind.COPY, message, "remove one of the two")
    return copies


def _same_id(table: pa.Table) -> dict[str, ResultProblem]:
    """Return a problem for each of the different results that share an id, by path."""
    return {
        path: ResultProblem(
            path,
            ProblemKind.SAME_ID,
            f"{len(paths)} different results have the id {result_id}",
            "find out which one was measured; both are shown and marked",
        )
        for result_id, paths in _sharing(table, "result_id").items()
        for path in paths
    }


def _sharing(table: pa.Table, name: str) -> dict[str, list[str]]:
    """Return the texts of a column that several rows have, each with the paths of its rows, in order."""
    import numpy as np
    import pyarrow as pa

    numbers = columns.codes(table.column(name))
    several = np.bincount(numbers, minlength=1)[numbers] > 1
    shared: defaultdict[str, list[str]] = defaultdict(list)
    if several.any():
        rows = table.select([name, "path"]).filter(pa.array(several))
        for text, path in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            shared[text].append(path)
    return shared


def _edited(path: str) -> ResultProblem:
    return ResultProblem(
        path,
        ProblemKind.EDITED,
        "its digest does not match: it was edited after it was written",
        "copy the original from where it was measured; this one is marked as edited and never compared",
    )
