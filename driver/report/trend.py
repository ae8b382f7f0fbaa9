"""How p_infer_core of one configuration changed over its results: by time, commit or driver version."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from driver.aggregate.groups import comparable_rows, group_key, row_order
from driver.aggregate.selection import has_figures, numbered
from driver.published.chinese import said
from driver.results.concerns import CORE
from driver.results.statistics import median_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from driver.aggregate.groups import Group, GroupKey
    from driver.aggregate.record import Record
    from driver.aggregate.selection import PerJob
    from driver.published.columns import Language

LINES = 60
"""Most configurations with a trend in the page, those with the newest results first."""
POINTS = 50
"""Most results of one configuration, the newest."""
COMMIT = 10
"""Characters of a commit, as git abbreviates it."""

SAME = (
    *("case", "core_item", "acc_metric", "weights", "data", "weights_sha256", "dataset_sha256"),
    *("simulated", "vendor", "chip", "engine", "precision", "batch_size"),
    *("stack", "tier", "runner", "host"),
)
"""What the results of one line have in common; commit, driver and the job's id may differ."""


_same = attrgetter(*SAME)


class Trend(NamedTuple):
    """The results of one configuration in one table, the oldest first; at least two."""

    key: GroupKey
    records: tuple[Record, ...]


def trends(repeated: Sequence[Record]) -> list[Trend]:
    """Return the configurations that have several results that count, at most LINES."""
    found: dict[tuple[object, ...], list[Record]] = {}
    for record in comparable_rows(repeated):
        found.setdefault(_same(record), []).append(record)
    lines = [_line(records) for records in found.values() if len(records) > 1]
    lines.sort(key=lambda line: line.records[-1].started_utc, reverse=True)
    return lines[:LINES]


def _line(records: Iterable[Record]) -> Trend:
    ordered = sorted(records, key=lambda record: (record.started_utc, record.path))
    return Trend(group_key(ordered[-1]), tuple(ordered[-POINTS:]))


def repeated_rows(found: PerJob) -> list[Record]:
    """Return the measured rows of the LINES newest configurations that have more than one.

    The rest never become Python objects: a folder may hold 100,000 results.
    """
    import numpy as np

    table = found.table
    (rows,) = np.nonzero(has_figures(table))
    _, lines, counts = np.unique(
        numbered([table.column(name) for name in SAME])[rows],
        return_inverse=True,
        return_counts=True,
    )
    newest = np.zeros(counts.size, np.int64)
    np.maximum.at(newest, lines, found.started[rows])
    newest[counts < 2] = 0
    chosen = np.argsort(newest, kind="stable")[::-1][:LINES]
    is_chosen = np.zeros(counts.size, np.bool_)
    is_chosen[chosen] = newest[chosen] > 0
    return found.records(rows[is_chosen[lines]])


def trend_lines(
    found: Sequence[Trend], groups: Sequence[Group], language: Language = "en"
) -> list[dict[str, Any]]:
    """Return the trends of the page's tables: ``group`` is the place of a line's table."""
    places = {group.key: place for place, group in enumerate(groups)}
    return [
        {
            "group": places[line.key],
            "identity": [*row_order(line.records[-1]), line.records[-1].stack],
            "host": line.records[-1].host,
            "tier": line.records[-1].tier,
            "points": [_point(record, language) for record in line.records],
        }
        for line in found
        if line.key in places
    ]


def _point(record: Record, language: Language) -> list[Any]:
    """Return [start, p_infer_core, low, high, commit, driver version, marks]; null if unknown."""
    interval = median_interval(record.core_values) if record.core_values else None
    marked = CORE in record.marked_figures
    return [
        record.started_utc,
        _short(record.p_infer_core),
        interval and _short(interval.low),
        interval and _short(interval.high),
        record.commit and record.commit[:COMMIT],
        record.driver_version,
        "; ".join(said(mark, language) for mark in record.figure_marks) if marked else None,
    ]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
