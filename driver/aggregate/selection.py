"""Which results are shown: simulated and synthetic ones only on request, the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from driver.aggregate import columns

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa  # type: ignore[import-untyped]
    from numpy.typing import NDArray

    from driver.aggregate.record import Record


class Selection(NamedTuple):
    """The selected rows, and how many were left out for each reason."""

    table: pa.Table
    simulated_left_out: int
    synthetic_left_out: int


def select(table: pa.Table, *, simulated: bool = False, synthetic: bool = False) -> Selection:
    """Leave out simulated and synthetic results unless requested.

    A result that is both counts as simulated.
    """
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    is_simulated = table.column("simulated")
    has_synthetic = pc.or_(
        pc.equal(table.column("weights"), "synthetic"), pc.equal(table.column("data"), "synthetic")
    )
    is_synthetic = pc.and_(has_synthetic, pc.invert(is_simulated))
    keep = pc.invert(
        pc.or_(
            pc.and_(is_simulated, not simulated),
            pc.and_(has_synthetic, not synthetic),
        )
    )
    return Selection(
        # A filter copies every column, even where it drops no row.
        table=table if pc.all(keep, skip_nulls=False).as_py() else table.filter(keep),
        simulated_left_out=0 if simulated else _count(is_simulated),
        synthetic_left_out=0 if synthetic else _count(is_synthetic),
    )


def _count(mask: pa.ChunkedArray) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(mask).as_py() or 0)


class PerJob(NamedTuple):
    """``shown``: the newest result of each job on each host. ``failed``: runs without figures.

    ``older`` counts the results that have a newer one. ``is_shown`` has a boolean for each row.
    """

    shown: pa.Table
    failed: pa.Table
    older: int
    is_shown: pa.Array


MEASURED = ("ok", "accuracy_failed")


def per_job(table: pa.Table, *, every: bool = False) -> PerJob:
    """Return the newest valid result of each job on each card of each host, and its last run if that failed since.

    A result that was edited after it was written stands in only for a job that has no other. With
    ``every``, all results are shown and all failed runs listed.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    measured = _array(pc.is_in(table.column("status"), value_set=pa.array(MEASURED)))
    if every:
        shown, failed = pa.array(measured), pa.array(~measured)
        return PerJob(table.filter(shown), table.filter(failed), older=0, is_shown=shown)
    edited = _array(table.column("edited"))
    places = _codes(table.column("host")) * (table.num_rows + 1) + _codes(table.column("card"))
    jobs = _numbered(_codes(table.column("job_id")), places)
    started = _array(pc.rank(table.column("started_utc"), tiebreaker="dense")).astype(np.int64)
    # Failed runs come first, then edited results, then valid ones; each kind from old to new.
    kind = measured.astype(np.int64) + (measured & ~edited)
    order = np.lexsort((started, kind, jobs))
    last_of_job = _ends(jobs[order])
    best = order[last_of_job][np.cumsum(last_of_job) - last_of_job]
    best_of, last_of_kind = np.empty_like(jobs), np.empty_like(measured)
    best_of[order] = best
    last_of_kind[order] = _ends(jobs[order] * 3 + kind[order])
    # Different results that claim one id are both shown, and marked.
    shown = measured & (kind == kind[best_of]) & (started == started[best_of])
    since = ~measured[best_of] | (started > started[best_of])
    failed = ~measured & last_of_kind & since
    return PerJob(
        shown=table.filter(pa.array(shown)),
        failed=table.filter(pa.array(failed)),
        older=int(measured.sum() - shown.sum()),
        is_shown=pa.array(shown),
    )


def _numbered(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for each pair of numbers, the same for the same pair."""
    import numpy as np

    places = np.unique(second, return_inverse=True)[1].reshape(-1).astype(np.int64)
    numbered: NDArray[np.int64] = first * (places.max(initial=0) + 1) + places
    return numbered


def _ends(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of the sorted values differ from the next one."""
    import numpy as np

    ends = np.ones(values.size, dtype=np.bool_)
    ends[:-1] = values[1:] != values[:-1]
    return ends


def _array(column: pa.ChunkedArray) -> Any:
    return column.to_numpy(zero_copy_only=False)


def _codes(column: pa.ChunkedArray) -> Any:
    """Return a number for each text, the same for the same text; 0 for null."""
    import numpy as np
    import pyarrow.compute as pc

    found = column.combine_chunks().dictionary_encode()
    return _array(pc.fill_null(found.indices, -1)).astype(np.int64) + 1


def newest(table: pa.Table, limit: int) -> list[Record]:
    """Return at most ``limit`` rows: the newest result of every job, then each job's next newest."""
    if table.num_rows <= limit:
        return columns.to_records(table)
    import numpy as np

    started = table.column("started_utc").to_numpy(zero_copy_only=False).astype(str)
    jobs = table.column("job_id").to_numpy(zero_copy_only=False).astype(str)
    order = np.lexsort((started, jobs))[::-1]
    ordered_jobs = jobs[order]
    starts = np.flatnonzero(np.r_[True, ordered_jobs[1:] != ordered_jobs[:-1]])
    lengths = np.diff(np.r_[starts, order.size])
    age = np.arange(order.size) - np.repeat(starts, lengths)
    newest_first = np.lexsort((started[order], -age))[::-1]
    return columns.to_records(table.take(np.sort(order[newest_first[:limit]])))
