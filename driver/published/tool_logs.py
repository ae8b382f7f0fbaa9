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
    """The lines of ``benchmark.x86_64``: rates in items/s, times in ms; None where a line is missing."""

    stages: dict[str, dict[str, Decimal]]

    @property
    def end_to_end_rate(self) -> Decimal | None:
        """Return the throughput of the whole pass, items/s."""
        return self.stages.get("e2e", {}).get("throughputRate")

    @property
    def wall_ms(self) -> Decimal | None:
        """Return the wall time of the whole pass; the log calls it latency."""
        return self.stages.get("e2e", {}).get("latency")

    @property
    def interface_rate(self) -> Decimal | None:
        """Return the rate that the documents publish: 1000 ÷ mean ms per item on the device."""
        return self.stages.get("infer", {}).get("Interface throughputRate")


def read_benchmark(log: ToolLog) -> BenchmarkLog:
    """Read the stages of a benchmark log; lines of another form are ignored."""
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
    """A trtexec performance summary: queries per second, and statistics in ms by name."""

    queries_per_second: Decimal | None
    times_ms: dict[str, dict[str, Decimal]]


def read_trtexec(log: ToolLog) -> TrtexecLog:
    """Read a performance summary of trtexec 8 (one line per quantity)."""
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


def published_rate(log: ToolLog) -> Decimal | None:
    """Return the rate that the documents take from a log of this tool; None where it has none."""
    if log.tool == "trtexec":
        return read_trtexec(log).queries_per_second
    return read_benchmark(log).interface_rate
