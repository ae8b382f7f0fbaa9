"""Reads the excerpts of vendor tools' logs that the documents print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driver.models.published import ToolLog

_STAGE = re.compile(r"^\[(?P<stage>[a-z0-9 ]+)\] (?P<rest>.*)$")
_PAIR = re.compile(r"(?P<key>[A-Za-z ]+): (?P<value>[\d.]+)")
_SUMMARY = re.compile(r"\] (?P<what>[\w -]+): (?P<rest>.*(?:qps|ms).*)$")
_STATISTIC = re.compile(r"(?P<name>min|max|mean|median|percentile\(\d+%\)) = (?P<value>[\d.]+) ms")
_QPS = re.compile(r"Throughput: (?P<value>[\d.]+) qps")


@dataclass(frozen=True, kw_only=True)
class BenchmarkLog:
    """The lines of ``benchmark.x86_64``: rates in items/s (``post``: calls/s), times in ms."""

    stages: dict[str, dict[str, Decimal]]

    @property
    def end_to_end_rate(self) -> Decimal:
        """Return the throughput of the whole pass, items/s."""
        return self.stages["e2e"]["throughputRate"]

    @property
    def wall_ms(self) -> Decimal:
        """Return the wall time of the whole pass; the log calls it latency."""
        return self.stages["e2e"]["latency"]

    @property
    def interface_rate(self) -> Decimal:
        """Return the rate that the documents publish: 1000 ÷ mean ms an item on the device."""
        return self.stages["infer"]["Interface throughputRate"]


def read_benchmark(log: ToolLog) -> BenchmarkLog:
    """Read the stages of a benchmark log; a line that is none is left out."""
    stages = {}
    for line in log.lines:
        if found := _STAGE.match(line):
            stages[found["stage"]] = {
                pair["key"].strip(): Decimal(pair["value"])
                for pair in _PAIR.finditer(found["rest"])
            }
    return BenchmarkLog(stages=stages)


@dataclass(frozen=True, kw_only=True)
class TrtexecLog:
    """A trtexec performance summary: queries a second, and statistics in ms by name."""

    queries_per_second: Decimal | None
    times_ms: dict[str, dict[str, Decimal]]


def read_trtexec(log: ToolLog) -> TrtexecLog:
    """Read a performance summary of trtexec 8 (one line a quantity)."""
    queries = None
    times: dict[str, dict[str, Decimal]] = {}
    for line in log.lines:
        if found := _QPS.search(line):
            queries = Decimal(found["value"])
        elif summary := _SUMMARY.search(line):
            times[summary["what"]] = {
                item["name"]: Decimal(item["value"])
                for item in _STATISTIC.finditer(summary["rest"])
            }
    return TrtexecLog(queries_per_second=queries, times_ms=times)


def trtexec_generation(log: ToolLog) -> tuple[str, tuple[str, ...]]:
    """Tell which releases print a log of this form: a range for people, and version prefixes."""
    text = "\n".join(log.lines)
    if "=== Performance summary ===" not in text:
        return "7.x", ("7.",)
    if "End-to-End Host Latency" in text:
        return "8.0.1 to 8.2", ("8.0", "8.1", "8.2")
    return "8.4 or later", ("8.4", "8.5", "8.6", "9.", "10.")
