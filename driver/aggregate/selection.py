"""Which results are shown: simulated and synthetic ones only on request, the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from driver.aggregate import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """``is_shown``: the newest result of each job on each host. ``is_failed``: runs without figures.

    Both have a boolean for each row of ``table``, shape [N]; ``started`` has the ranks of their starts.
    ``older`` counts the results that have a newer one.
    """

    table: pa.Table
    started: NDArray[np.int64]
    is_shown: NDArray[np.bool_]
    is_failed: NDArray[np.bool_]
    older: int

    def shown(self, *names: str) -> pa.Table:
        """Return these columns of the rows that are shown."""
        return _only(self.table.select(names), self.is_shown)

    def failed(self, limit: int) -> list[Record]:
        """Return at most ``limit`` runs without figures, those that started last."""
        import numpy as np

        (rows,) = np.nonzero(self.is_failed)
        paths = ranks(self.table.column("path").take(rows))
        newest_first = np.lexsort((paths, self.started[rows]))[::-1]
        return columns.to_records(self.table.take(rows[newest_first[:limit]]))

    def newest(self, limit: int) -> NDArray[np.int64]:
        """Return at most ``limit`` shown rows: the newest result of every job, then each job's next newest."""
        import numpy as np

        (rows,) = np.nonzero(self.is_shown)
        if not rows.size:
            return rows
        started, jobs = self.started[rows], ranks(self.table.column("job_id"))[rows]
        order = np.lexsort((started, jobs))[::-1]
        ordered_jobs = jobs[order]
        starts = np.flatnonzero(np.r_[True, ordered_jobs[1:] != ordered_jobs[:-1]])
        lengths = np.diff(np.r_[starts, order.size])
        age = np.arange(order.size) - np.repeat(starts, lengths)
        newest_first = np.lexsort((started[order], -age))[::-1]
        return rows[order[newest_first[:limit]]]

    def records(self, rows: NDArray[np.int64]) -> list[Record]:
        """Return these rows, in the order of the table."""
        import numpy as np

        return columns.to_records(self.table.take(np.sort(rows)))


def _only(table: pa.Table, mask: NDArray[np.bool_]) -> pa.Table:
    """Return the rows of a mask; all of them without a copy."""
    import pyarrow as pa

    return table if mask.all() else table.filter(pa.array(mask))


LARGEST = 2**60
"""Numbers of rows stay below it, so that a number of several kinds of row still fits into 64 bits."""
MEASURED = ("ok", "accuracy_failed")


def per_job(table: pa.Table, *, every: bool = False) -> PerJob:
    """Return the newest valid result of each job on each card of each host, and its last run if that failed since.

    A result that was edited after it was written stands in only for a job that has no other. With
    ``every``, all results are shown and all failed runs listed.
    """
    import numpy as np

    measured, started = has_figures(table), ranks(table.column("started_utc"))
    if every:
        return PerJob(table, started, is_shown=measured, is_failed=~measured, older=0)
    edited = _array(table.column("edited"))
    jobs = numbered([table.column(name) for name in ("job_id", "host", "card")])
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
    older = int(measured.sum() - shown.sum())
    return PerJob(table, started, is_shown=shown, is_failed=failed, older=older)


def has_figures(table: pa.Table) -> NDArray[np.bool_]:
    """Return which rows are of jobs that were measured, whether or not their accuracy passed, shape [N]."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found: NDArray[np.bool_] = _array(
        pc.is_in(table.column("status"), value_set=pa.array(MEASURED))
    )
    return found


def numbered(several: Sequence[pa.ChunkedArray]) -> NDArray[np.int64]:
    """Return a number for each row of the columns, shape [N]: the same for the same values."""
    import numpy as np

    numbers, most = columns.codes(several[0]), several[0].length() + 1
    for column in several[1:]:
        more = columns.codes(column)
        width = int(more.max(initial=0)) + 1
        if most * width > LARGEST:
            numbers = np.unique(numbers, return_inverse=True)[1].reshape(-1).astype(np.int64)
            most = numbers.size + 1
        numbers, most = numbers * width + more, most * width
    return numbers


def _ends(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of the sorted values differ from the next one."""
    import numpy as np

    ends = np.ones(values.size, dtype=np.bool_)
    ends[:-1] = values[1:] != values[:-1]
    return ends


def _array(column: pa.ChunkedArray) -> Any:
    return column.to_numpy(zero_copy_only=False)


def ranks(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the place of each text among the different texts of a column, sorted, from 1."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        found: NDArray[np.int64] = _array(pc.rank(column, tiebreaker="dense")).astype(np.int64)
        return found
    order = pc.rank(column.combine_chunks().dictionary, tiebreaker="dense")
    ranked: NDArray[np.int64] = np.r_[0, _array(order).astype(np.int64)]
    return ranked[columns.codes(column)]
