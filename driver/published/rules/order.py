"""Rule about figures that can only rise: top-k accuracies, percentiles."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from driver.published.cells import number
from driver.published.finding import Finding
from driver.published.rules.places import logs_of
from driver.published.tool_logs import read_trtexec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.published.load import PublishedCase


def out_of_order(case: PublishedCase) -> Iterator[Finding]:
    """Find top-k accuracies and percentiles that fall where they can only rise."""
    for where, figures in (*_top_k(case), *_percentiles(case)):
        for (low_name, low), (high_name, high) in pairwise(figures):
            if low <= high:
                continue
            yield Finding(
                where=where,
                rule="out-of-order",
                kind="contradiction",
                printed=f"{high_name} {high}",
                against=f"{low_name} {low}",
                reason=f"{high_name} cannot be below {low_name}",
            )


def _top_k(case: PublishedCase) -> Iterator[tuple[str, list[tuple[str, Decimal]]]]:
    for item in case.published.evaluations:
        figures = [(f"top{k}", number(printed)) for k, printed in enumerate(item.top, start=1)]
        yield (
            f"{item.heading}, bs {item.batch_size}",
            [(name, value) for name, value in figures if value is not None],
        )


def _percentiles(case: PublishedCase) -> Iterator[tuple[str, list[tuple[str, Decimal]]]]:
    for place, log in logs_of(case, "trtexec"):
        for what, times in read_trtexec(log).times_ms.items():
            quantiles = [name for name in times if name.startswith("percentile")]
            for names in (["min", "median", *quantiles, "max"], ["min", "mean", "max"]):
                figures = [(f"{what} {name}", times[name]) for name in names if name in times]
                yield place["where"], figures


RULES = (out_of_order,)
