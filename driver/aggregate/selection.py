"""What is shown: simulated and synthetic results on request only, the newest where room is short."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate import columns

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

    from driver.aggregate.record import Record


class Selection(NamedTuple):
    """The rows that were asked for, and how many were not and why."""

    table: pa.Table
    simulated_left_out: int
    synthetic_left_out: int


def select(table: pa.Table, *, simulated: bool = False, synthetic: bool = False) -> Selection:
    """Leave simulated and synthetic results out unless they are asked for.

    A result that is both counts as simulated.
    """
    import pyarrow.compute as pc  # type: ignore[import-untyped]

    is_simulated = table.column("simulated")
    made_up = pc.or_(
        pc.equal(table.column("weights"), "synthetic"), pc.equal(table.column("data"), "synthetic")
    )
    is_synthetic = pc.and_(made_up, pc.invert(is_simulated))
    keep = pc.invert(
        pc.or_(
            pc.and_(is_simulated, not simulated),
            pc.and_(made_up, not synthetic),
        )
    )
    return Selection(
        table=table.filter(keep),
        simulated_left_out=0 if simulated else _count(is_simulated),
        synthetic_left_out=0 if synthetic else _count(is_synthetic),
    )


def _count(mask: pa.ChunkedArray) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(mask).as_py() or 0)


def newest(table: pa.Table, limit: int) -> list[Record]:
    """Return at most ``limit`` rows: first the newest result of every job, then the next newest."""
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
