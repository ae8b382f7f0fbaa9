"""A result as a row of the seeds' table: their columns, their "/" for what does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.published.columns import ACCURACY, FLAGPERF, LANGUAGES, MEMORY, TOOL

if TYPE_CHECKING:
    from driver.aggregate.record import Record
    from driver.models.result import Metrics, Result

    Figures = Metrics | Record
    """What has the figures of the table."""

NONE = "/"

HEADERS = {language: (TOOL[language], *FLAGPERF, ACCURACY, MEMORY) for language in LANGUAGES}
"""The seeds' own column names, in their order."""

METRIC_HEADERS = {"clip_score": "CLIP Score"}
"""What document 002 prints where the others print ``acc``."""


def seed_row(result: Result) -> tuple[str, ...]:
    """Return the cells of a result, in the order of HEADERS."""
    job = result.job
    return (job.engine, job.precision, str(job.batch_size), *seed_figures(result.metrics))


def seed_figures(metrics: Figures) -> tuple[str, ...]:
    """Return the cells behind tool, precision and bs."""
    return (
        figure(metrics.e2e_time_s),
        figure(metrics.p_val_whole),
        figure(metrics.p_val_core),
        figure(metrics.p_infer_whole),
        figure(metrics.p_infer_core),
        NONE if metrics.mfu is None else f"{metrics.mfu:.1f}%",
        accuracy(metrics),
        memory(metrics),
    )


def figure(value: float | None) -> str:
    """Return a figure with one decimal as the seeds print it, more where it is small."""
    if value is None:
        return NONE
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def accuracy(metrics: Figures) -> str:
    """Return inference's accuracy / validation's; "/" alone where neither exists."""
    if metrics.acc_infer is None and metrics.acc_val is None:
        return NONE
    return f"{_accuracy(metrics.acc_infer)}/{_accuracy(metrics.acc_val)}"


def _accuracy(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def memory(metrics: Figures) -> str:
    """Return peak memory / the device's whole, GiB."""
    if metrics.mem_gib is None:
        return NONE
    total = "-" if metrics.mem_total_gib is None else f"{metrics.mem_total_gib:.1f}"
    return f"{metrics.mem_gib:.2f}/{total}"
