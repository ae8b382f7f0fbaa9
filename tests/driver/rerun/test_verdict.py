"""Each figure's verdict: the original's tolerances, intervals over processes, and when nothing can be concluded."""

from __future__ import annotations

from typing import Any

import pytest

from driver.models.rerun import Outcome, Tolerances
from driver.models.result import Result
from driver.rerun.verdict import judge, overall
from tests.documents import document, job, metrics, sha

SAME = {"sha256": sha("predictions"), "arrays": ["classes"], "items": 50000}
OTHER = {**SAME, "sha256": sha("others")}
EXACT = Tolerances(throughput_fraction=0.05, predictions="identical", accuracy_relative=0.01)
CLOSE = Tolerances(
    throughput_fraction=0.05, predictions="fidelity", cosine_min=0.999, accuracy_relative=0.01
)


def result(core: float = 1000.0, **changes: Any) -> Result:
    """Return a result with three processes within 1 % of ``core`` items/s."""
    figures = metrics(core, **changes.pop("figures", {}))
    body: dict[str, Any] = {"metrics": figures, "predictions": SAME, "warnings": [], **changes}
    return Result.model_validate(document(**body))


def outcomes(
    original: Result, rerun: Result, tolerances: Tolerances = CLOSE, *, comparison: bool = False
) -> dict[str, str]:
    figures = judge(original, rerun, tolerances, comparison=comparison)
    return {one.name: one.outcome.value for one in figures}


def spread(core: float, *values: float) -> dict[str, Any]:
    return {
        "spread": {
            name: {"values": list(values), "median": core, "cv": 0.01}
            for name in ("p_infer_core", "p_infer_whole")
        }
    }


def test_the_same_figures_are_reproduced() -> None:
    figures = judge(result(), result(), EXACT, comparison=False)
    assert {one.outcome for one in figures} == {Outcome.REPRODUCED}
    assert [one.name for one in figures] == [
        "predictions",
        "accuracy",
        "p_infer_core",
        "p_infer_whole",
    ]
    assert overall(figures) is Outcome.REPRODUCED


@pytest.mark.parametrize(
    ("core", "expected"),
    [
        (1049.0, "reproduced"),
        (951.0, "reproduced"),
        (1100.0, "not reproduced"),
        (500.0, "not reproduced"),
    ],
)
def test_speed_beyond_the_fraction_with_intervals_apart_is_not_reproduced(
    core: float, expected: str
) -> None:
    assert outcomes(result(), result(core))["p_infer_core"] == expected


def test_beyond_the_fraction_overlapping_intervals_show_nothing() -> None:
    original = result(figures=spread(1000.0, 940.0, 1000.0, 1060.0))
    rerun = result(1070.0, figures=spread(1070.0, 1010.0, 1070.0, 1130.0))
    assert outcomes(original, rerun)["p_infer_core"] == "inconclusive"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"job": job(tier="smoke")}, "smoke run"),
        ({"figures": spread(500.0, 500.0)}, "fewer than three processes"),
        (
            {"warnings": [{"code": "device_shared", "message": "busy", "remedy": "end them"}]},
            "device_shared",
        ),
    ],
)
def test_what_shows_nothing_about_speed_is_inconclusive(changes: dict[str, Any], said: str) -> None:
    figures = judge(result(), result(500.0, **changes), CLOSE, comparison=False)
    core = next(one for one in figures if one.name == "p_infer_core")
    assert core.outcome is Outcome.INCONCLUSIVE
    assert said in core.reason
    assert overall(figures) is Outcome.INCONCLUSIVE


def test_a_comparison_judges_answers_and_not_speed() -> None:
    found = outcomes(result(), result(5000.0), EXACT, comparison=True)
    assert found["p_infer_core"] == "inconclusive"
    assert found["accuracy"] == "reproduced"


def test_other_predictions_are_not_reproduced_where_the_case_asks_for_identical_ones() -> None:
    rerun = result(predictions=OTHER)
    assert outcomes(result(), rerun, EXACT)["predictions"] == "not reproduced"
    assert outcomes(result(), rerun, CLOSE)["predictions"] == "reproduced", "by its cosine"


def test_a_cosine_below_the_bound_is_not_reproduced() -> None:
    far = {"fidelity": {"items": 64, "cosine_min": 0.5, "max_abs": 3.0}}
    rerun = result(predictions=OTHER, figures=far)
    assert outcomes(result(), rerun)["predictions"] == "not reproduced"


def test_an_original_without_a_digest_of_its_predictions_is_no_proof() -> None:
    original = result(predictions=None)
    assert outcomes(original, result(), EXACT)["predictions"] == "inconclusive"
    assert outcomes(original, result(), CLOSE)["predictions"] == "reproduced", "by its cosine"


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        (78.3, "reproduced"),
        (77.9, "not reproduced"),
        (80.0, "not reproduced"),
        (None, "inconclusive"),
    ],
)
def test_accuracy_may_be_as_far_apart_as_the_gate_allows(
    accuracy: float | None, expected: str
) -> None:
    original = result(figures={"acc_infer": 79.0})
    assert outcomes(original, result(figures={"acc_infer": accuracy}))["accuracy"] == expected


@pytest.mark.parametrize(
    ("passed", "expected"),
    [(True, "reproduced"), (False, "not reproduced"), (None, "inconclusive")],
)
def test_agreement_of_synthetic_weights_is_judged_by_the_gate(
    passed: bool | None, expected: str
) -> None:
    agreeing = {"acc_kind": "agreement"}
    gate = {"passed": passed, "allowed_relative_drop": 0.01, "reason": "cosine"}
    original = result(figures=agreeing)
    assert outcomes(original, result(figures=agreeing, gate=gate))["accuracy"] == expected


def test_one_figure_that_is_not_reproduced_decides() -> None:
    rerun = result(500.0, figures={"p_infer_whole": None})
    figures = judge(result(), rerun, CLOSE, comparison=False)
    assert {one.outcome for one in figures} == set(Outcome)
    assert overall(figures) is Outcome.NOT_REPRODUCED
