"""Rules about the excerpts of vendor tools' logs."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from driver.published.finding import Finding
from driver.published.tool_logs import read_benchmark, read_trtexec, trtexec_generation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.published import ToolLog
    from driver.published.load import PublishedCase

CLOSE = Decimal("0.001")
"""Figures of one log agree within this share."""

APART = Decimal("1.25")
"""A device rate this many times the end-to-end rate is worth a finding."""


def _logs(case: PublishedCase, tool: str) -> Iterator[ToolLog]:
    return (log for log in case.published.logs if log.tool == tool)


def _where(log: ToolLog) -> str:
    return f"{log.heading}, bs {log.batch_size}"


def version_of_the_log(case: PublishedCase) -> Iterator[Finding]:
    """Report a trtexec log whose form the stated release does not print."""
    for log in _logs(case, "trtexec"):
        releases, prefixes = trtexec_generation(log)
        if log.stated_version is None or log.stated_version.startswith(prefixes):
            continue
        yield Finding(
            rule="log-version",
            kind="contradiction",
            where=_where(log),
            printed=f"TensorRT {log.stated_version}",
            against=f"a log of trtexec {releases}",
            reason="its summary has lines that the stated release does not print",
            source="NVIDIA TensorRT, samples/common of the releases",
        )


def pass_does_not_add_up(case: PublishedCase) -> Iterator[Finding]:
    """Report a benchmark pass whose rate × wall time is not the dataset."""
    loops = case.published.loops
    for log in _logs(case, "benchmark"):
        read = read_benchmark(log)
        items = read.end_to_end_rate * read.wall_ms / 1000
        if loops is None or abs(items / loops.dataset_items - 1) <= CLOSE:
            continue
        yield Finding(
            rule="pass-size",
            kind="contradiction",
            where=_where(log),
            printed=f"{read.end_to_end_rate} items/s for {read.wall_ms} ms",
            against=f"{items:.0f} of {loops.dataset_items} items",
            reason="rate and time do not give the dataset",
        )


def device_rate_published(case: PublishedCase) -> Iterator[Finding]:
    """Report a published rate that leaves out everything but the device."""
    for log in _logs(case, "benchmark"):
        read = read_benchmark(log)
        times = read.interface_rate / read.end_to_end_rate
        if times < APART:
            continue
        yield Finding(
            rule="device-rate",
            kind="misleading",
            where=_where(log),
            printed=f"{read.interface_rate} items/s published",
            against=f"{read.end_to_end_rate} items/s end to end",
            reason=f"the published rate is the device's alone, {times:.2f} times what the pass over "
            "the dataset reached; p_infer_whole of this suite is the other one",
        )


def post_counts_batches(case: PublishedCase) -> Iterator[Finding]:
    """Report a [post] rate that counts batches where the other lines count items."""
    for log in _logs(case, "benchmark"):
        stages = read_benchmark(log).stages
        post, infer = stages["post"]["throughputRate"], stages["infer"]["throughputRate"]
        if log.batch_size == 1 or abs(post * log.batch_size / infer - 1) > Decimal("0.01"):
            continue
        yield Finding(
            rule="post-unit",
            kind="misleading",
            where=_where(log),
            printed=f"[post] throughputRate {post}",
            against=f"[infer] throughputRate {infer}",
            reason=f"{post} × {log.batch_size} = {post * log.batch_size:.3f}: [post] counts "
            "batches a second, every other line items",
        )


def latency_is_no_sum(case: PublishedCase) -> Iterator[Finding]:
    """Report a trtexec latency that its copies and its computation do not add up to."""
    for log in _logs(case, "trtexec"):
        times = read_trtexec(log).times_ms
        names = ("H2D Latency", "GPU Compute Time", "D2H Latency")
        parts = sum((times[name]["mean"] for name in names), Decimal(0))
        whole = times["Latency"]["mean"]
        if abs(parts / whole - 1) <= CLOSE:
            continue
        yield Finding(
            rule="latency-sum",
            kind="contradiction",
            where=_where(log),
            printed=f"mean latency {whole} ms",
            against=f"{parts} ms",
            reason="copies and computation add up to another latency",
        )


def log_against_text(case: PublishedCase) -> Iterator[Finding]:
    """Report a figure that the text says it took from a log which holds another."""
    for figure in case.published.figures:
        for log in case.published.logs:
            if (log.chip, log.batch_size) != (figure.chip, figure.batch_size):
                continue
            rate = (
                read_trtexec(log).queries_per_second
                if log.tool == "trtexec"
                else read_benchmark(log).interface_rate
            )
            if rate is None or rate == Decimal(figure.measured):
                continue
            yield Finding(
                rule="log-against-text",
                kind="contradiction",
                where=_where(log),
                printed=f"text {figure.measured}",
                against=f"log {rate}",
                reason="the text says that the figure is the log's",
            )


def device_of_the_log(case: PublishedCase) -> Iterator[Finding]:
    """Report a log of a device that no command of the document selects."""
    selected = {command.device for command in case.published.commands if command.device is not None}
    for log in _logs(case, "benchmark"):
        found = re.search(r"_device_(\d+)", log.file or "")
        if found is None or not selected or found[1] in selected:
            continue
        yield Finding(
            rule="log-device",
            kind="contradiction",
            where=_where(log),
            printed=f"{log.file}",
            against=f"-device_id={', '.join(sorted(selected))}",
            reason="the log is another device's than the commands select",
        )


RULES = (
    version_of_the_log,
    pass_does_not_add_up,
    device_rate_published,
    post_counts_batches,
    latency_is_no_sum,
    log_against_text,
    device_of_the_log,
)
