"""Rules about the logs of vendor tools: do they add up, and what do they time and count."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from driver.published.finding import Finding
from driver.published.rules.places import in_text, logs_of
from driver.published.tool_logs import published_rate, read_benchmark, read_trtexec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase

CLOSE = Decimal("0.001")
"""Figures of one log agree within this share."""

APART = Decimal("1.25")
"""A device rate this many times the end-to-end rate is worth a finding."""

ONE_BATCH = Decimal("0.01")
"""A rate × batch size this close to another rate (as a share) counts batches."""


def pass_does_not_add_up(case: PublishedCase) -> Iterator[Finding]:
    """Find a pass of the benchmark tool whose rate × time is not the dataset."""
    for place, log in logs_of(case, "benchmark"):
        read = read_benchmark(log)
        if case.published.loops is None or read.end_to_end_rate is None or read.wall_ms is None:
            continue
        items, dataset = read.end_to_end_rate * read.wall_ms / 1000, case.published.loops
        if abs(items / dataset.dataset_items - 1) <= CLOSE:
            continue
        yield Finding(
            **place,
            rule="pass-size",
            kind="contradiction",
            printed=f"{read.end_to_end_rate} items/s for {read.wall_ms} ms",
            against=f"{items:.0f} of {dataset.dataset_items} items",
            reason="rate and time do not give the dataset",
        )


def latency_is_no_sum(case: PublishedCase) -> Iterator[Finding]:
    """Find a trtexec latency that differs from the sum of its copies and its computation."""
    for place, log in logs_of(case, "trtexec"):
        means = {name: times.get("mean") for name, times in read_trtexec(log).times_ms.items()}
        whole = means.get("Latency")
        parts = [means.get(name) for name in ("H2D Latency", "GPU Compute Time", "D2H Latency")]
        known = [part for part in parts if part is not None]
        if not whole or len(known) < len(parts) or abs(sum(known) / whole - 1) <= CLOSE:
            continue
        yield Finding(
            **place,
            rule="latency-sum",
            kind="contradiction",
            printed=f"mean latency {whole} ms",
            against=f"{sum(known)} ms",
            reason="copies and computation add up to another latency",
        )


def log_against_text(case: PublishedCase) -> Iterator[Finding]:
    """Find a figure that the text takes from a log which prints another one."""
    for figure in case.published.figures:
        for log in case.published.logs:
            if (log.chip, log.batch_size) != (figure.chip, figure.batch_size):
                continue
            rate = published_rate(log)
            if rate is None or rate == Decimal(figure.measured):
                continue
            yield Finding(
                **in_text(log),
                rule="log-against-text",
                kind="contradiction",
                printed=f"text {figure.measured}",
                against=f"log {rate}",
                reason="the text says that it takes the figure from the log",
            )


def device_rate_published(case: PublishedCase) -> Iterator[Finding]:
    """Find a published rate that leaves out everything but the device."""
    for place, log in logs_of(case, "benchmark"):
        read = read_benchmark(log)
        device, whole = read.interface_rate, read.end_to_end_rate
        if device is None or not whole or device / whole < APART:
            continue
        yield Finding(
            **place,
            rule="device-rate",
            kind="misleading",
            printed=f"{device} items/s published",
            against=f"{whole} items/s end to end",
            reason=f"the published rate is the device's alone, {device / whole:.2f} times that of the "
            "whole pass over the dataset; p_infer_whole of this suite is the latter",
        )


def rate_counts_batches(case: PublishedCase) -> Iterator[Finding]:
    """Find a [post] rate that counts batches where the other lines count items."""
    for place, log in logs_of(case, "benchmark"):
        stages = read_benchmark(log).stages
        post, infer = (stages.get(name, {}).get("throughputRate") for name in ("post", "infer"))
        if log.batch_size == 1 or post is None or not infer:
            continue
        items = post * log.batch_size
        if abs(items / infer - 1) > ONE_BATCH:
            continue
        yield Finding(
            **place,
            rule="post-unit",
            kind="misleading",
            printed=f"[post] throughputRate {post}",
            against=f"[infer] throughputRate {infer}",
            reason=f"{post} × {log.batch_size} = {items:.3f}: [post] counts batches per second, "
            "every other line items",
        )


RULES = (
    pass_does_not_add_up,
    latency_is_no_sum,
    log_against_text,
    device_rate_published,
    rate_counts_batches,
)
