"""Impossible figures: negative, zero instead of absent, beyond physics, or in the wrong order."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from driver.results.warnings import MFU_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.result import Latency, Metrics, Result

MAX_ITEMS_PER_S = 1e9
"""A billion items/s is 150 TB/s of 224 × 224 images, beyond the memory bandwidth of any device."""
MAX_GIB = 1 << 20
MAX_SECONDS = 366 * 24 * 3600
MAX_BATCH = 1 << 24
MAX_SAMPLES = 1e12


def absurdity(result: Result) -> str | None:
    """Return the first impossible figure, with its value, or None for a plausible result."""
    return next(_absurdities(result), None)


def _absurdities(result: Result) -> Iterator[str]:
    if result.job.batch_size > MAX_BATCH:
        yield f"job.batch_size is {result.job.batch_size}; the limit is {MAX_BATCH}"
    if result.finished_utc < result.started_utc:
        yield f"it finished ({result.finished_utc}) before it started ({result.started_utc})"
    yield from _throughputs(result.metrics)
    yield from _bounds(result.metrics)
    yield from _order(result.metrics.latency_ms)
    if result.status == "ok" and result.metrics.p_infer_core is None:
        yield "its status is ok, but it has no p_infer_core"


def _throughputs(metrics: Metrics) -> Iterator[str]:
    for name in ("p_infer_core", "p_infer_whole", "p_val_core", "p_val_whole"):
        value = getattr(metrics, name)
        if value is not None and not 0 < value <= MAX_ITEMS_PER_S:
            yield f"metrics.{name} is {value:g} items/s; it must be above 0 and at most 1e9"
    for name, spread in metrics.spread.items():
        if not spread.values:
            yield f"metrics.spread.{name} has no values"
        elif any(value <= 0 for value in spread.values):
            yield f"metrics.spread.{name} has the value {min(spread.values):g}; it must be above 0"
        elif max(spread.values) > MAX_ITEMS_PER_S:
            yield f"metrics.spread.{name} has the value {max(spread.values):g}; it must be at most 1e9"


LIMITS = {
    "mfu": (0, MFU_MAX),
    "mfu_published_convention": (0, 1000),
    "mem_gib": (0, MAX_GIB),
    "mem_compile_gib": (0, MAX_GIB),
    "mem_total_gib": (0, MAX_GIB),
    "e2e_time_s": (0, MAX_SECONDS),
    "energy_j": (0, 1e15),
    "energy_items": (1, 1e15),
    "acc_items": (0, 1e12),
}


def _bounds(metrics: Metrics) -> Iterator[str]:
    for name, (low, high) in LIMITS.items():
        value = getattr(metrics, name)
        if value is not None and not low <= value <= high:
            yield f"metrics.{name} is {value:g}; it must be between {low:g} and {high:g}"
    used, whole = metrics.mem_gib, metrics.mem_total_gib
    if used is not None and whole is not None and used > whole * 1.01:
        yield f"metrics.mem_gib is {used:g} GiB, but the device has {whole:g} GiB"
    if metrics.fidelity is not None and abs(metrics.fidelity.cosine_min) > 1.001:
        yield f"metrics.fidelity.cosine_min is {metrics.fidelity.cosine_min:g}; a cosine is at most 1"


def _order(latency: Latency) -> Iterator[str]:
    if not 0 <= latency.samples <= MAX_SAMPLES:
        yield f"metrics.latency_ms.samples is {latency.samples:g}; it must be between 0 and {MAX_SAMPLES:g}"
    figures = ((name, getattr(latency, name)) for name in ("p50", "p90", "p99", "max"))
    known = [(name, value) for name, value in figures if value is not None]
    for name, value in known:
        if value <= 0:
            yield f"metrics.latency_ms.{name} is {value:g} ms; it must be above 0"
    for (lower, below), (upper, above) in pairwise(known):
        if below > above:
            yield f"metrics.latency_ms: {lower} ({below:g}) is above {upper} ({above:g})"
