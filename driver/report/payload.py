"""What the page knows: rows as columns, repeated text written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver.aggregate.groups import grouped, marks, struck
from driver.aggregate.record import Record
from driver.aggregate.tables import batch_table
from driver.aggregate.text import plain
from driver.published.columns import ACCURACY, CHIP, NOTE
from driver.seed_row import HEADERS, METRIC_HEADERS, seed_figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from driver.aggregate.groups import Group
    from driver.aggregate.problem import Problem
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
)
PROBLEM_ROWS = 500
"""Problems that the page lists; all of them are in problems.csv."""
BATCH_COLUMNS = 6
"""Chips that the page's batch tables set side by side; wider ones are read in CSV."""


def ordered(records: Sequence[Record]) -> tuple[list[Group], list[Record]]:
    """Return the groups, and all rows in the order in which the page numbers them."""
    groups = grouped(records)
    return groups, [record for group in groups for record in group.records]


def payload(
    groups: Sequence[Group],
    *,
    language: Language,
    same_id: frozenset[str],
    problems: Sequence[Problem],
    published: Sequence[PublishedFigure],
) -> dict[str, Any]:
    """Return the page's data; every text in it is plain (no control characters), not yet escaped."""
    rows = [record for group in groups for record in group.records]
    columns: dict[str, Any] = {name: _texts([getattr(row, name) for row in rows]) for name in TEXTS}
    columns |= {name: [_short(getattr(row, name)) for row in rows] for name in NUMBERS}
    columns["group"] = [index for index, group in enumerate(groups) for _ in group.records]
    columns["struck"] = _texts([struck(row) for row in rows])
    columns["marks"] = _texts(["; ".join(marks(row, same_id)) for row in rows])
    cells = [seed_figures(row) for row in rows]
    columns["cells"] = [_texts(list(column)) for column in zip(*cells, strict=True)]
    return {
        "headers": [CHIP[language], *HEADERS[language], NOTE[language]],
        "groups": [_group(group, language) for group in groups],
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


def _group(group: Group, language: Language) -> dict[str, Any]:
    key = group.key
    table = batch_table(group.records, language)
    chips = next((i for i, header in enumerate(table.headers) if "/" in header), len(table.headers))
    return {
        "title": group.title,
        "case": key.case,
        "metric": METRIC_HEADERS.get(key.acc_metric, key.acc_metric),
        "accuracy": METRIC_HEADERS.get(key.acc_metric, ACCURACY),
        "item": key.core_item,
        "batch": {"headers": table.headers, "rows": [row.cells for row in table.rows]}
        if len(table.rows) > 2 and chips - 1 <= BATCH_COLUMNS
        else None,
    }


def _texts(values: list[str | None]) -> dict[str, list[Any]]:
    """Return a text column as its different values and where each row's stands (-1: none)."""
    places: dict[str, int] = {}
    which = [-1 if value is None else places.setdefault(value, len(places)) for value in values]
    return {"values": [plain(value) for value in places], "which": which}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def _shares(rows: Sequence[Record]) -> dict[str, list[Any]]:
    names: dict[str, int] = {}
    for row in rows:
        for what, _ in row.time_shares:
            names.setdefault(what, len(names))
    values = []
    for row in rows:
        spent: Mapping[str, float] = dict(row.time_shares)
        values.append([_short(spent[name]) if name in spent else 0 for name in names])
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
