"""The fastest comparable result of each table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from driver.aggregate.groups import SMOKE, TIMED_ELSEWHERE
from driver.results.concerns import CORE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from driver.aggregate.groups import Group
    from driver.aggregate.record import Record


class Fastest(NamedTuple):
    """The fastest of ``compared`` results of one tier; None if none is comparable."""

    tier: str
    compared: int
    record: Record | None


def fastest(group: Group, same_id: Collection[str] = ()) -> list[Fastest]:
    """Return the fastest result of the group for each tier.

    Rows of a group share case, item, metric, weights and data. Left out are smoke runs, stand-ins,
    figures that a warning concerns, that another clock timed or whose accuracy was not checked, and
    everything that is struck out, edited or claims the id of another result.
    """
    tiers = sorted({record.tier for record in group.records})
    rows = [record for record in group.comparable if _may_compete(record, same_id)]
    found = []
    for tier in tiers:
        peers = [record for record in rows if record.tier == tier]
        best = max(peers, key=lambda record: record.p_infer_core or 0, default=None)
        found.append(Fastest(tier, len(peers), best))
    return found


def fastest_lines(groups: Sequence[Group], same_id: Collection[str]) -> list[list[Any]]:
    """Return [group, tier, rows of the tier, rows compared, place of the fastest row or None]."""
    lines: list[list[Any]] = []
    start = 0
    for index, group in enumerate(groups):
        places = {record.path: start + place for place, record in enumerate(group.records)}
        start += len(group.records)
        for found in fastest(group, same_id):
            members = sum(record.tier == found.tier for record in group.records)
            place = places[found.record.path] if found.record else None
            lines.append([index, found.tier, members, found.compared, place])
    return lines


def _may_compete(record: Record, same_id: Collection[str]) -> bool:
    return (
        record.p_infer_core is not None
        and record.tier != SMOKE
        and not record.simulated
        and CORE not in record.marked_figures
        and record.clock not in TIMED_ELSEWHERE
        and record.gate_passed is True
        and record.path not in same_id
    )
