"""Every warning of the closed list is classified, and marks exactly the figures that it concerns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from driver.models.base import WarningCode
from driver.models.result import Metrics, Result
from driver.results.concerns import (
    CONCERNS,
    EVERY_FIGURE,
    NO_FIGURE,
    SHOWN_OTHERWISE,
    concerns_speed,
    marks_of,
)
from tests.documents import document, metrics, warned


def result(*codes: str, **figures: Any) -> Result:
    body = document(metrics=metrics(**figures), warnings=warned(*codes))
    return Result.model_validate_json(json.dumps(body))


def test_every_warning_is_classified_once() -> None:
    classes = [frozenset(CONCERNS), NO_FIGURE, SHOWN_OTHERWISE]
    assert frozenset().union(*classes) == frozenset(WarningCode)
    assert sum(map(len, classes)) == len(WarningCode)


def test_the_documentation_names_every_mark_and_whether_it_is_measured_again() -> None:
    text = (Path(__file__).parents[3] / "docs" / "report.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.endswith(("| yes |", "| no |"))]
    for code, concern in CONCERNS.items():
        (row,) = (row for row in rows if f"`{concern.mark}" in row and f"`{code}`" in row)
        assert row.endswith("| yes |" if concern.again else "| no |"), row


def test_marks_are_of_figures_that_there_are() -> None:
    known = {*Metrics.model_fields}
    assert {name for concern in CONCERNS.values() for name in concern.figures} <= known
    assert set(EVERY_FIGURE) <= known
    marks = [concern.mark for concern in CONCERNS.values()]
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize(
    ("code", "mark", "marked", "again"),
    [
        ("device_shared", "device shared", {"p_infer_core", "p_infer_whole", "mem_gib"}, True),
        ("part_of_device", "part of a device", {"p_infer_core", "mfu", "e2e_time_s"}, False),
        ("throttled", "throttled", {"p_infer_core", "mfu"}, True),
        ("host_bound", "device idled in the core loop", {"p_infer_core"}, False),
        ("monitor_failed", "monitor failed", {"mem_gib"}, False),
    ],
)
def test_a_warning_marks_what_it_concerns(
    code: str, mark: str, marked: set[str], again: bool
) -> None:
    found = marks_of(result(code))
    assert found.texts == (mark,)
    assert marked <= set(found.figures)
    assert "acc_infer" not in found.figures
    assert found.again is again


@pytest.mark.parametrize("code", sorted({*NO_FIGURE, *SHOWN_OTHERWISE}))
def test_a_warning_that_concerns_no_figure_marks_none(code: WarningCode) -> None:
    assert marks_of(result(code)) == ((), (), False)
    assert not concerns_speed(code)


def test_unstable_marks_the_figure_that_varies_and_says_by_how_much() -> None:
    spread = {
        "p_infer_core": {"values": [100.0, 101.0, 102.0], "median": 101.0, "cv": 0.01},
        "p_infer_whole": {"values": [40.0, 80.0, 60.0], "median": 60.0, "cv": 0.304},
    }
    found = marks_of(result("unstable", spread=spread))
    assert found.texts == ("unstable: p_infer_whole ±30 %",)
    assert found.figures == ("p_infer_whole",)


def test_a_figure_that_is_absent_has_no_mark() -> None:
    found = marks_of(result("monitor_failed", mem_gib=None, energy_j=None))
    assert found == ((), (), False)


def test_what_concerns_a_throughput_is_a_caveat_of_a_comparison() -> None:
    assert concerns_speed("part_of_device")
    assert concerns_speed("whole_exceeds_core")
    assert not concerns_speed("monitor_failed")
    assert not concerns_speed("few_samples")
