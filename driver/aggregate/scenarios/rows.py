"""A load scenario as a row: what MLPerf reports, LoadGen's verdict, its latencies. "/" for what does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.aggregate.table_row import NONE, figure, with_mark
from driver.results.concerns import SCENARIO
from driver.results.scenarios.figures import UNITS
from driver.system.plain_text import plain, shortened

if TYPE_CHECKING:
    from collections.abc import Collection

    from driver.aggregate.record import Record
    from driver.models.result import Scenario
    from driver.published.columns import Language

SCENARIO_HEADERS: dict[Language, tuple[str, ...]] = {
    "en": (
        *("scenario", "MLPerf's result", "LoadGen", "bound (ms)", "latency p50/p90/p99 (ms)"),
        *("samples/s", "queries", "samples a call"),
    ),
    "zh": (
        *(
            "负载场景",
            "MLPerf 结果",
            "LoadGen 判定",
            "时延上限（毫秒）",
            "时延 p50/p90/p99（毫秒）",
        ),
        *("吞吐（样本/秒）", "查询数", "每次调用的样本数"),
    ),
}
"""The column names, by language."""

REASON_LENGTH = 110


def scenario_row(found: Scenario, marked: Collection[str] = ()) -> tuple[str, ...]:
    """Return the cells of a result, in the order of SCENARIO_HEADERS; MARK follows figures that a warning concerns."""
    latency = found.latency_ms
    return _cells(
        found.name,
        _verdict(found.valid, None),
        (found.figure, found.latency_bound_ms, found.samples_per_s, found.samples_a_call),
        (latency.p50, latency.p90, latency.p99),
        found.queries,
        marked,
    )


def scenario_record(record: Record) -> tuple[str, ...]:
    """Return the same cells of a flattened result."""
    return _cells(
        record.scenario or NONE,
        _verdict(record.scenario_valid, record.scenario_reason),
        (
            record.scenario_figure,
            record.scenario_bound_ms,
            record.scenario_samples_per_s,
            record.scenario_samples_a_call,
        ),
        (record.scenario_p50_ms, record.scenario_p90_ms, record.scenario_p99_ms),
        record.scenario_queries or 0,
        record.marked_figures,
    )


Four = tuple[float | None, float | None, float | None, float | None]
Three = tuple[float | None, float | None, float | None]


def _cells(
    name: str,
    verdict: str,
    figures: Four,
    latencies: Three,
    queries: int,
    marked: Collection[str],
) -> tuple[str, ...]:
    result, bound, rate, batch = (figure(value) for value in figures)
    shown = NONE if result == NONE else f"{result} {UNITS[name]}"
    percentiles = [figure(value) for value in latencies]
    latency = NONE if set(percentiles) == {NONE} else " / ".join(percentiles)
    mark = SCENARIO in marked
    return (
        name,
        with_mark(shown, marked=mark),
        verdict,
        bound,
        with_mark(latency, marked=mark),
        with_mark(rate, marked=mark),
        str(queries),
        batch,
    )


def _verdict(valid: bool | None, reason: str | None) -> str:
    """Return LoadGen's verdict, with its reason where a table has no other place for it."""
    if valid:
        return "VALID"
    return shortened(f"INVALID: {plain(reason)}", REASON_LENGTH) if reason else "INVALID"
