"""A result as a row of the FlagPerf table, with "/" for what does not exist."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from driver.published.columns import ACCURACY, FLAGPERF, LANGUAGES, MEMORY, TOOL
from driver.results.concerns import CORE, MARK, marks_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from driver.aggregate.record import Record
    from driver.models.result import Generation, Latency, Metrics, Result
    from driver.published.columns import Language

    Figures = Metrics | Record
    """Anything that has the figures of the table."""

NONE = "/"

HEADERS = {language: (TOOL[language], *FLAGPERF, ACCURACY, MEMORY) for language in LANGUAGES}
"""The column names of the published tables, in their order, by language."""

METRIC_HEADERS = {"clip_score": "CLIP Score"}
"""The accuracy heading by metric, where it is not ``acc`` (document 002)."""

SHOWN_FIGURES = (
    *("e2e_time_s", "p_val_whole", "p_val_core", "p_infer_whole", "p_infer_core", "mfu"),
    *("acc_infer", "mem_gib"),
)
"""The figure of Metrics that each cell of ``table_figures`` shows."""


def table_row(result: Result) -> tuple[str, ...]:
    """Return the cells of a result, in the order of HEADERS."""
    job = result.job
    figures = table_figures(result.metrics, marks_of(result).figures)
    return (job.engine, job.precision, str(job.batch_size), *figures)


def table_figures(metrics: Figures, marked: Collection[str] = ()) -> tuple[str, ...]:
    """Return the cells that follow tool, precision and bs; MARK follows those named in ``marked``."""
    cells = (
        figure(metrics.e2e_time_s),
        figure(metrics.p_val_whole),
        figure(metrics.p_val_core),
        figure(metrics.p_infer_whole),
        figure(metrics.p_infer_core),
        percent(metrics.mfu),
        accuracy(metrics),
        memory(metrics),
    )
    if not marked:
        return cells
    return tuple(
        with_mark(cell, marked=name in marked)
        for cell, name in zip(cells, SHOWN_FIGURES, strict=True)
    )


def with_mark(cell: str, *, marked: bool) -> str:
    """Return a cell with MARK behind its figure, if a warning concerns it."""
    return f"{cell} {MARK}" if marked and cell != NONE else cell


def percent(value: float | None) -> str:
    """Return a percentage with one decimal like the published tables, two digits if it is below 1."""
    if value is None:
        return NONE
    decimals = 1 if value >= 1 or value <= 0 else 1 - math.floor(math.log10(value))
    return f"{value:.{decimals}f}%"


def figure(value: float | None) -> str:
    """Return a figure with one decimal like the published tables, or three digits if it is below 10."""
    if value is None:
        return NONE
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def accuracy(metrics: Figures) -> str:
    """Return inference accuracy / validation accuracy; "/" alone if neither exists."""
    return _two(metrics.acc_infer, 2, metrics.acc_val, 2)


def memory(metrics: Figures) -> str:
    """Return peak memory / total device memory, in GiB."""
    return NONE if metrics.mem_gib is None else _two(metrics.mem_gib, 2, metrics.mem_total_gib, 1)


def _two(first: float | None, decimals: int, second: float | None, others: int) -> str:
    """Return "79.00/79.30"; with one of them absent "79.00 / /", since absent is "/" everywhere."""
    if first is None and second is None:
        return NONE
    left = NONE if first is None else f"{first:.{decimals}f}"
    right = NONE if second is None else f"{second:.{others}f}"
    return f"{left} / {right}" if NONE in (left, right) else f"{left}/{right}"


GENERATION_HEADERS: dict[Language, tuple[str, ...]] = {
    "en": (
        *("prompt", "tokens", "TTFT p50/p90/p99 (ms)", "ITL p50/p90/p99 (ms)", "TPOT (ms)"),
        *("prefill (token/s)", "decode (token/s)", "goodput (request/s)", "TTFT/TPOT bounds (ms)"),
        *("MBU", "KV cache (GiB)"),
    ),
    "zh": (
        *("提示长度", "生成长度", "首 token 时延 p50/p90/p99（毫秒）"),
        *("token 间时延 p50/p90/p99（毫秒）", "每 token 时延（毫秒）"),
        *("预填充（token/s）", "解码（token/s）", "有效吞吐（请求/s）"),
        *("TTFT/TPOT 上限（毫秒）", "带宽利用率", "KV 缓存（GiB）"),
    ),
}
"""The column names, by language."""


def generation_row(found: Generation, marked: Collection[str] = ()) -> tuple[str, ...]:
    """Return the cells of a result, in the order of GENERATION_HEADERS; "/" for what does not exist.

    All that is measured is of the core loop: MARK follows it where ``marked`` names core.
    """
    lengths = (found.prompt, found.tokens)
    return _generation_cells(lengths, _three(found.ttft_ms), _three(found.itl_ms), found, marked)


def generation_record(record: Record) -> tuple[str, ...]:
    """Return the same cells of a flattened result."""
    return _generation_cells(
        (record.prompt_tokens, record.tokens),
        (record.ttft_p50_ms, record.ttft_p90_ms, record.ttft_p99_ms),
        (record.latency_p50_ms, record.latency_p90_ms, record.latency_p99_ms),
        record,
        record.marked_figures,
    )


Three = tuple[float | None, float | None, float | None]


def _generation_cells(
    lengths: tuple[int | None, int | None],
    first: Three,
    between: Three,
    found: Generation | Record,
    marked: Collection[str],
) -> tuple[str, ...]:
    measured = (
        _percentiles(first),
        _percentiles(between),
        figure(found.tpot_ms),
        figure(found.p_prefill),
        figure(found.p_decode),
        figure(found.goodput),
    )
    return (
        *(NONE if length is None else str(length) for length in lengths),
        *(with_mark(cell, marked=CORE in marked) for cell in measured),
        _bounds(found.ttft_bound_ms, found.tpot_bound_ms),
        with_mark(percent(found.mbu), marked=CORE in marked),
        figure(found.kv_cache_gib),
    )


def _bounds(first_ms: float | None, later_ms: float | None) -> str:
    """Return the bounds of goodput as they were given, "/" for a case without any."""
    return NONE if first_ms is None or later_ms is None else f"{first_ms:g}/{later_ms:g}"


def _three(latency: Latency) -> Three:
    return latency.p50, latency.p90, latency.p99


def _percentiles(values: Three) -> str:
    """Return the three percentiles, "/" alone if there is none; those with too few samples are "/"."""
    cells = [figure(value) for value in values]
    return NONE if set(cells) == {NONE} else " / ".join(cells)
