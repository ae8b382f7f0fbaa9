"""Figures that cannot be: negative, zero where absent is meant, beyond physics, in the wrong order."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from driver.warnings import MFU_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.result import Latency, Metrics, Result

MAX_ITEMS_PER_S = 1e9
"""A billion items/s: 150 TB/s of 224 × 224 pictures, beyond any device's memory."""
MAX_GIB = 1 << 20
MAX_SECONDS = 366 * 24 * 3600
MAX_BATCH = 1 << 24


def absurdity(result: Result) -> str | None:
    """Return what cannot be, with the value, or None for a plausible result."""
    return next(_absurdities(result), None)


def _absurdities(result: Result) -> Iterator[str]:
    if result.job.batch_size > MAX_BATCH:
        yield f"job.batch_size is {result.job.batch_size}, no device holds such a batch"
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
            yield f"metrics.{name} is {value:g} items/s, it must lie above 0 and below 1e9"
    for name, spread in metrics.spread.items():
        if any(value <= 0 for value in spread.values):
            yield f"metrics.spread.{name} holds {min(spread.values):g}, it must lie above 0"


LIMITS = {
    "mfu": (0, MFU_MAX),
    "mfu_published_convention": (0, 1000),
    "mem_gib": (0, MAX_GIB),
    "mem_compile_gib": (0, MAX_GIB),
    "mem_total_gib": (0, MAX_GIB),
    "e2e_time_s": (0, MAX_SECONDS),
    "energy_j": (0, 1e15),
    "acc_items": (0, 1e12),
}


def _bounds(metrics: Metrics) -> Iterator[str]:
    for name, (low, high) in LIMITS.items():
        value = getattr(metrics, name)
        if value is not None and not low <= value <= high:
            yield f"metrics.{name} is {value:g}, it must lie between {low:g} and {high:g}"
    used, whole = metrics.mem_gib, metrics.mem_total_gib
    if used is not None and whole is not None and used > whole * 1.01:
        yield f"metrics.mem_gib is {used:g} of {whole:g} GiB that the device has"
    if metrics.fidelity is not None and abs(metrics.fidelity.cosine_min) > 1.001:
        yield f"metrics.fidelity.cosine_min is {metrics.fidelity.cosine_min:g}, a cosine is 1 at most"


def _order(latency: Latency) -> Iterator[str]:
    figures = ((name, getattr(latency, name)) for name in ("p50", "p90", "p99", "max"))
    known = [(name, value) for name, value in figures if value is not None]
    for name, value in known:
        if value <= 0:
            yield f"metrics.latency_ms.{name} is {value:g} ms, it must lie above 0"
    for (lower, below), (upper, above) in pairwise(known):
        if below > above:
            yield f"metrics.latency_ms: {lower} ({below:g}) lies above {upper} ({above:g})"
