"""Which results have their latency and monitor series in the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.aggregate.groups import row_order
from driver.report.payload import common_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.aggregate.groups import Group
    from driver.aggregate.record import Record

SERIES_ROWS = 600
"""Rows whose latency and monitor series are embedded in the page, divided among the tables."""


def with_series(groups: Sequence[Group]) -> set[str]:
    """Return the paths of the results whose series the charts can show.

    They are the fastest of each line, and the one at the batch size at which latencies are compared.
    """
    chosen: set[str] = set()
    for group in groups:
        # Rows of one line and batch size are sorted newest first; the chart draws the newest.
        drawn = {(*row_order(row), row.stack): row for row in reversed(group.comparable)}
        lines: dict[tuple[object, ...], Record] = {}
        for record in sorted(drawn.values(), key=lambda row: row.p_infer_core or 0):
            lines[row_order(record)[:-1]] = record
        fastest = list(lines.values())[::-1]
        size = common_size(group)
        alike = [record for record in drawn.values() if record.batch_size == size]
        room = max(8, SERIES_ROWS // len(groups))
        chosen |= {record.path for kind in (fastest, alike) for record in kind[: room // 2 or 1]}
    return chosen
