"""A load scenario as a row: what MLPerf reports, LoadGen's verdict, its latencies. "/" for what does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.table_row import NONE, figure, with_mark
from driver.results.concerns import SCENARIO
from driver.system.plain_text import plain, shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from driver.aggregate.record import Record
    from driver.models.result import Scenario
    from driver.published.columns import Language

SCENARIO_HEADERS: dict[Language, tuple[str, ...]] = {
    "en": (
        *("scenario", "MLPerf's result", "LoadGen", "bound (ms)", "latency p50/p90/p99 (ms)"),
        *("TTFT/TPOT p99 (ms)", "samples/s", "queries", "samples a batch"),
    ),
    "zh": (
        *(
            "负载场景",
            "MLPerf 结果",
            "LoadGen 判定",
            "时延上限（毫秒）",
            "时延 p50/p90/p99（毫秒）",
        ),
        *("首 token/每 token 时延 p99（毫秒）", "吞吐（样本/秒）", "查询数", "每批样本数"),
    ),
}
"""The column names, by language."""

REASON_LENGTH = 110


class Shown(NamedTuple):
    """What a row shows of a scenario; times in ms. ``bounds`` and ``tokens`` are of the first and of later tokens."""

    name: str
    verdict: str
    figure: float | None
    unit: str
    bounds: tuple[float | None, float | None]
    latency: tuple[float | None, float | None, float | None]
    tokens: tuple[float | None, float | None]
    samples_per_s: float | None
    queries: int
    batch: float | None


def scenario_row(found: Scenario, marked: Collection[str] = ()) -> tuple[str, ...]:
    """Return the cells of a result, in the order of SCENARIO_HEADERS; MARK follows figures that a warning concerns."""
    latency, first, later = found.latency_ms, found.ttft_ms, found.tpot_ms
    shown = Shown(
        name=found.name,
        verdict=_verdict(found.valid, None),
        figure=found.figure,
        unit=found.unit,
        bounds=(found.latency_bound_ms, found.token_bound_ms),
        latency=(latency.p50, latency.p90, latency.p99),
        tokens=(first.p99 if first else None, later.p99 if later else None),
        samples_per_s=found.samples_per_s,
        queries=found.queries,
        batch=found.samples_a_call,
    )
    return _cells(shown, marked)


def scenario_record(record: Record) -> tuple[str, ...]:
    """Return the same cells of a flattened result."""
    shown = Shown(
        name=record.scenario or NONE,
        verdict=_verdict(record.scenario_valid, record.scenario_reason),
        figure=record.scenario_figure,
        unit=record.scenario_unit or "",
        bounds=(record.scenario_bound_ms, record.scenario_token_bound_ms),
        latency=(record.scenario_p50_ms, record.scenario_p90_ms, record.scenario_p99_ms),
        tokens=(record.scenario_ttft_p99_ms, record.scenario_tpot_p99_ms),
        samples_per_s=record.scenario_samples_per_s,
        queries=record.scenario_queries or 0,
        batch=record.scenario_samples_a_call,
    )
    return _cells(shown, record.marked_figures)


def _cells(shown: Shown, marked: Collection[str]) -> tuple[str, ...]:
    result = NONE if shown.figure is None else f"{figure(shown.figure)} {shown.unit}"
    bounds = [bound for bound in shown.bounds if bound is not None]
    measured = (
        _joined(shown.latency),
        _joined(shown.tokens),
        figure(shown.samples_per_s),
    )
    mark = SCENARIO in marked
    return (
        shown.name,
        with_mark(result, marked=mark),
        shown.verdict,
        _joined(bounds) if bounds else NONE,
        *(with_mark(cell, marked=mark) for cell in measured),
        str(shown.queries),
        figure(shown.batch),
    )


def _joined(values: Sequence[float | None]) -> str:
    """Return values with slashes between them, "/" alone if there is none."""
    cells = [figure(value) for value in values]
    return NONE if set(cells) == {NONE} else " / ".join(cells)


def _verdict(valid: bool | None, reason: str | None) -> str:
    """Return LoadGen's verdict, with its reason where a table has no other place for it."""
    if valid:
        return "VALID"
    return shortened(f"INVALID: {plain(reason)}", REASON_LENGTH) if reason else "INVALID"
