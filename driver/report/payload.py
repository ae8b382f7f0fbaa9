"""The page's data: rows stored as columns, each repeated text written once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from driver.aggregate.groups import grouped, row_order
from driver.aggregate.record import Record
from driver.aggregate.table_row import HEADERS, METRIC_HEADERS
from driver.published.chinese import said
from driver.published.columns import ACCURACY, CHIP, NOTE
from driver.report.chinese import PAGE
from driver.report.failed import FAILED_HEADERS
from driver.report.fastest import fastest_lines
from driver.report.headings import HEADINGS
from driver.results.statistics import median_interval
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driver.aggregate.groups import Group, GroupKey
    from driver.aggregate.problem import ResultProblem
    from driver.aggregate.tables import Section
    from driver.published.columns import Language
    from driver.published.rows import PublishedFigure

TEXTS = (
    "vendor",
    "chip",
    "stack",
    "engine",
    "precision",
    "tier",
    "runner",
    "status",
    "started_utc",
    "arithmetic",
    "host",
    "path",
)
NUMBERS = (
    "batch_size",
    "p_infer_core",
    "p_infer_whole",
    "p_val_core",
    "p_val_whole",
    "e2e_time_s",
    "acc_infer",
    "acc_val",
    "mfu",
    "mem_gib",
    "gate_reference",
    "gate_allowed_drop",
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p99_ms",
    "latency_max_ms",
    "core_cv",
    "gate_drop",
    "cosine_min",
    "j_per_item",
    "items_per_s_w",
    "intensity",
    "achieved_ops",
    "peak_ops",
    "bandwidth",
)
PROBLEM_ROWS = 500
"""Most problems that the page lists; problems.csv has all of them."""
BATCH_COLUMNS = 6
"""Most chips side by side in a batch table of the page; results.csv has all of them."""


def ordered(
    records: Sequence[Record], language: Language = "en"
) -> tuple[list[Group], list[Record]]:
    """Return the groups, and all their rows in the order in which the page numbers them."""
    groups = grouped(records, language)
    return groups, [record for group in groups for record in group.records]


def payload(
    sections: Sequence[Section],
    *,
    language: Language,
    same_id: frozenset[str],
    problems: Sequence[ResultProblem],
    published: Sequence[PublishedFigure],
    failed: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    """Return the page's data; its text has no control characters but is not yet escaped."""
    groups = [section.group for section in sections]
    rows = [record for group in groups for record in group.records]
    made = [row for section in sections for row in section.results.rows]
    by_name = dict(zip(Record._fields, zip(*rows, strict=True), strict=bool(rows)))
    columns: dict[str, Any] = {name: _texts(by_name.get(name, ())) for name in TEXTS}
    columns |= {name: _numbers(by_name.get(name, ())) for name in NUMBERS}
    columns["group"] = [index for index, group in enumerate(groups) for _ in group.records]
    intervals = [median_interval(row.core_values) if row.core_values else None for row in rows]
    columns["core_low"] = _numbers([found and found.low for found in intervals])
    columns["core_high"] = _numbers([found and found.high for found in intervals])
    columns["marked"] = _texts(["; ".join(row.marked_figures) for row in rows])
    columns["edited"] = [row.edited for row in rows]
    columns["struck"] = _texts([row.struck for row in made])
    columns["marks"] = _texts(["; ".join(row.marks) for row in made])
    cells = [row.shown_figures for row in made]
    columns["cells"] = [_texts(column) for column in zip(*cells, strict=True)]
    return {
        "language": language,
        "words": PAGE if language == "zh" else {},
        "headers": [CHIP[language], *HEADERS[language], NOTE[language]],
        "headings": HEADINGS[language],
        "groups": [_group(section, language) for section in sections],
        "fastest": fastest_lines(groups, same_id),
        "failed": {"headers": FAILED_HEADERS, "rows": failed},
        "rows": len(rows),
        "columns": columns,
        "shares": _shares(rows),
        "problems": [
            [problem.kind.value, plain(problem.path), plain(problem.message), plain(problem.remedy)]
            for problem in problems[:PROBLEM_ROWS]
        ],
        "problem_count": len(problems),
        "published": [_published(figure) for figure in published],
    }


def common_size(group: Group) -> int | None:
    """Return the batch size at which most chips and engines have a latency; the smallest of several."""
    sizes = Counter(
        size
        for _, size in {
            (row_order(record)[:-1], record.batch_size)
            for record in group.comparable
            if record.latency_p50_ms is not None
        }
    )
    return min(sizes, key=lambda size: (-sizes[size], size), default=None)


def _group(section: Section, language: Language) -> dict[str, Any]:
    group, table = section.group, section.batches
    key, tokens, loads = group.key, section.tokens, section.scenarios
    chips = next((i for i, header in enumerate(table.headers) if "/" in header), len(table.headers))
    return {
        "title": group.title,
        "case": key.case,
        "metric": METRIC_HEADERS.get(key.acc_metric, key.acc_metric),
        "accuracy": METRIC_HEADERS.get(key.acc_metric, ACCURACY),
        "item": key.core_item,
        "flags": ", ".join(said(flag, language) for flag in _flags(key)),
        "tokens": {"headers": tokens.headers, "rows": [row.cells for row in tokens.rows]}
        if tokens.rows
        else None,
        "scenarios": {"headers": loads.headers, "rows": [row.cells for row in loads.rows]}
        if loads.rows
        else None,
        "common_size": common_size(group),
        "batch": {"headers": table.headers, "rows": [row.cells for row in table.rows]}
        if len(table.rows) > 2 and chips - 1 <= BATCH_COLUMNS
        else None,
    }


def _flags(key: GroupKey) -> list[str]:
    """Return what every chart of a table must say of its figures."""
    flags = (
        ("simulated", key.simulated),
        ("synthetic weights", key.weights == "synthetic"),
        ("synthetic data", key.data == "synthetic"),
        ("smoke", key.smoke),
    )
    return [flag for flag, holds in flags if holds]


def _texts(values: Sequence[str | None]) -> dict[str, list[Any]]:
    """Return a text column as its distinct values and each row's index into them (-1: none)."""
    distinct = [value for value in dict.fromkeys(values) if value is not None]
    places: dict[str | None, int] = {value: place for place, value in enumerate(distinct)}
    places[None] = -1
    which = [places[value] for value in values]
    return {"values": [plain(value) for value in distinct], "which": which}


def _numbers(values: Sequence[float | None]) -> list[float | None]:
    """Return the values with the six digits that the page shows."""
    return [None if value is None else float(f"{value:.6g}") for value in values]


def _shares(rows: Sequence[Record]) -> dict[str, list[Any]]:
    names: dict[str, int] = {}
    for row in rows:
        for what, _ in row.time_shares:
            names.setdefault(what, len(names))
    values = []
    for row in rows:
        spent: Mapping[str, float] = dict(row.time_shares)
        values.append([float(f"{spent[name]:.6g}") if name in spent else 0 for name in names])
    return {"names": [plain(name) for name in names], "values": values}


def _published(figure: PublishedFigure) -> dict[str, Any]:
    return {
        "case": figure.case,
        "name": plain(figure.name),
        "vendor": figure.vendor,
        "known_as": figure.known_as,
        "tool": plain(figure.tool),
        "precision": plain(figure.precision_name),
        "batch_size": figure.batch_size,
        "chips": figure.chips,
        "p_infer_core": figure.p_infer_core,
        "p_infer_whole": figure.p_infer_whole,
        "document": figure.document,
    }
