"""A figure that its own parts contradict: an edit that a new digest does not hide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from driver.results.recomputed import contradiction
from tests.driver.results.test_figures import compute, loop, report

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.report import StageReport
    from driver.models.result import Metrics

LABELS = {"values": {"top1": 98.0}, "items": 100, "kind": "labels"}


@pytest.fixture
def measured(tmp_path: Path) -> tuple[Metrics, list[StageReport]]:
    """Figures and the reports that they come from."""
    reports = [
        report(
            "infer", number, measurements=[loop("core", 100, 1.0 + number), loop("whole", 90, 1.5)]
        )
        for number in range(3)
    ]
    reports.append(report("score", accuracy={"infer": LABELS}))
    return compute(tmp_path, *reports)[0], reports


def edited(metrics: Metrics, **changes: Any) -> Metrics:
    return metrics.model_copy(update=changes)


def test_figures_and_reports_of_one_run_agree_in_any_order(
    measured: tuple[Metrics, list[StageReport]],
) -> None:
    metrics, reports = measured
    assert contradiction(metrics, reports[::-1]) is None
    assert contradiction(metrics, ()) is None


def test_a_figure_alone_is_contradicted_by_its_processes(
    measured: tuple[Metrics, list[StageReport]],
) -> None:
    metrics, _ = measured
    assert contradiction(edited(metrics, p_infer_core=80.0), ()) == (
        "p_infer_core is 80, but the median of its processes is 50"
    )


@pytest.mark.parametrize("spread", ["without", "doubled"])
def test_a_figure_with_its_processes_is_contradicted_by_the_reports(
    measured: tuple[Metrics, list[StageReport]], spread: str
) -> None:
    metrics, reports = measured
    own = metrics.spread["p_infer_core"]
    doubled = own.model_copy(
        update={"values": tuple(2 * value for value in own.values), "median": 2 * own.median}
    )
    others = {name: found for name, found in metrics.spread.items() if name != "p_infer_core"}
    spreads = others if spread == "without" else {**others, "p_infer_core": doubled}
    forged = edited(metrics, p_infer_core=100.0, spread=spreads)
    assert contradiction(forged, reports) == ("p_infer_core is 100, but the stage reports give 50")


def test_an_accuracy_is_contradicted_by_the_score_stage(
    measured: tuple[Metrics, list[StageReport]],
) -> None:
    metrics, reports = measured
    assert contradiction(edited(metrics, acc_infer=99.0), reports) == (
        "the accuracy of infer is 99, but the score stage reports 98"
    )
