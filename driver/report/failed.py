"""The runs that failed or were interrupted, as rows of a table of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.aggregate.table_row import NONE
from driver.system.plain_text import plain, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.aggregate.record import Record

FAILED_HEADERS = ("started", "host", "job", "stack", "kind", "what happened", "file")
FAILED_ROWS = 200
"""Most failed runs in the page and in Markdown; results.csv has all of them."""
REASON = 300


def failed_rows(records: Sequence[Record]) -> list[tuple[str, ...]]:
    """Return the newest FAILED_ROWS runs, newest first, in the order of FAILED_HEADERS."""
    newest = sorted(records, key=lambda record: (record.started_utc, record.path), reverse=True)
    return [_row(record) for record in newest[:FAILED_ROWS]]


def _row(record: Record) -> tuple[str, ...]:
    what = f"{record.case} on {record.vendor} {record.chip}, {record.engine} {record.precision}"
    return (
        record.started_utc[:16].replace("T", " "),
        plain(record.host or NONE),
        plain(f"{what} bs{record.batch_size}"),
        plain(record.stack),
        plain(record.failure_kind or record.status),
        shortened(record.failure or NONE, REASON),
        plain(record.path),
    )
