"""The checks of an audit: what refutes a result, what leaves it open, and what never does either."""

from __future__ import annotations

from typing import Any

import pytest

from driver.audit.checks import checks, overall
from driver.models.audit import AuditCheck, Verdict
from driver.models.rerun import Tolerances
from driver.models.result import Result
from driver.rerun.document import make_rerun
from tests import documents

HOLDS, REFUTED, OPEN = Verdict.HOLDS, Verdict.DOES_NOT_HOLD, Verdict.CANNOT_TELL
TOLERANCES = Tolerances(
    throughput_fraction=0.05, predictions="identical", accuracy_relative=0.01
).model_dump()
PREDICTIONS = {"sha256": documents.sha("predictions"), "arrays": ["classes"], "items": 50000}
EVEN = {"fresh": [100.0] * 10, "repeated": [101.0, 99.0] * 5}


def checked(seed: int, **more: Any) -> dict[str, Any]:
    core = {"items": 256, "largest_difference": 1e-6}
    return {"core_inputs": {"seed": seed}, "core_check": core, "repeated_inputs": EVEN, **more}


def result(seed: int, core: float = 1000.0, **changes: Any) -> Result:
    provenance = documents.provenance(documents.job()) | {
        "tolerances": TOLERANCES,
        "core_checks": {"infer-0": checked(seed), "infer-1": checked(seed + 1)},
        **changes.pop("provenance", {}),
    }
    fidelity = {"items": 64, "cosine_min": 0.9999, "max_abs": 0.1}
    body: dict[str, Any] = {
        "metrics": documents.metrics(core, core_fidelity=fidelity),
        "predictions": PREDICTIONS,
        "warnings": [],
        "provenance": provenance,
        **changes,
    }
    return Result.model_validate(documents.document(**body))


def audited(run: Result, original: Result | None = None) -> dict[str, AuditCheck]:
    original = original or result(1)
    rerun = make_rerun(original, run, None)  # type: ignore[arg-type]  # tolerances are the original's
    return {one.name: one for one in checks(original, run, rerun)}


def decided(found: dict[str, AuditCheck]) -> dict[str, Verdict]:
    """Return the checks that do not hold."""
    return {name: one.verdict for name, one in found.items() if one.verdict is not HOLDS}


def test_a_result_that_is_reproduced_with_every_check_holds() -> None:
    found = audited(result(5))
    assert decided(found) == {}
    assert len(found) == 13
    assert overall(list(found.values())) is HOLDS


def repeated(*ratios: float) -> dict[str, Any]:
    rates = {"fresh": [100.0] * len(ratios), "repeated": [100.0 * one for one in ratios]}
    return {"core_checks": {"infer-0": checked(5, repeated_inputs=rates)}}


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ([1.0] * 10, HOLDS),
        ([1.05, 0.9] * 5, HOLDS),
        ([400.0] * 10, REFUTED),
        ([1.2] * 10, REFUTED),
        ([1.2] * 9 + [1.0], OPEN),
        ([0.5, 2.1] * 5, OPEN),
        ([], OPEN),
    ],
)
def test_an_engine_that_is_faster_with_repeated_inputs_in_every_round_remembers(
    ratios: list[float], verdict: Verdict
) -> None:
    found = audited(result(5, provenance=repeated(*ratios)))
    assert found["repeated inputs"].verdict is verdict


def failed(kind: str) -> dict[str, Any]:
    return {
        "status": "failed",
        "failure": {"kind": kind, "stage": "infer", "message": "m", "remedy": "r"},
    }


@pytest.mark.parametrize(
    ("kind", "verdict"), [("contract", REFUTED), ("host", OPEN), ("timeout", OPEN)]
)
def test_a_job_that_fails_refutes_only_if_the_guest_is_at_fault(
    kind: str, verdict: Verdict
) -> None:
    found = audited(result(5, **failed(kind)))
    assert sorted(found) == ["caches", "inputs", "job"]
    assert found["job"].verdict is verdict


def test_a_slower_run_refutes_and_a_faster_one_leaves_it_open() -> None:
    assert audited(result(5, core=700.0))["p_infer_core"].verdict is REFUTED
    assert audited(result(5, core=1400.0))["p_infer_core"].verdict is OPEN


@pytest.mark.parametrize("whose", ["original", "run"])
def test_a_failed_gate_or_an_impossible_figure_of_either_refutes(whose: str) -> None:
    gate = {"passed": False, "allowed_relative_drop": 0.01, "reason": "cosine 0.7"}
    impossible = {"code": "implausible", "message": "MFU is 300 %", "remedy": "r"}
    for changes, name in (
        ({"status": "accuracy_failed", "gate": gate}, "gate"),
        ({"warnings": [impossible]}, "physics"),
    ):
        odd, good = result(1, **changes), result(5)
        found = audited(good, odd) if whose == "original" else audited(odd, result(9))
        assert found[name].verdict is REFUTED


def test_inputs_that_could_be_foreseen_refute() -> None:
    assert audited(result(1), result(1))["seeds"].verdict is REFUTED
    assert audited(result(2), result(1))["seeds"].verdict is REFUTED, "of another process"
    assert audited(result(5, provenance={"core_checks": {}}))["seeds"].verdict is OPEN


def stage(wall_s: float, guest_s: float) -> dict[str, Any]:
    return {"name": "infer", "repeat": 0, "status": "ok", "wall_s": wall_s, "guest_s": guest_s}


@pytest.mark.parametrize(
    ("wall_s", "guest_s", "verdict"),
    [(71.0, 66.0, HOLDS), (9.0, 0.5, HOLDS), (31.2, 3.2, REFUTED), (660.0, 540.0, REFUTED)],
)
def test_a_clock_that_is_slower_than_the_drivers_refutes(
    wall_s: float, guest_s: float, verdict: Verdict
) -> None:
    found = audited(result(5, stages=[stage(wall_s, guest_s)]))
    assert found["clock"].verdict is verdict


def by_both_clocks(within_s: float, *unchecked: str) -> dict[str, Any]:
    core = {"guest_s": 60.0, "driver_s": 60.0, "within_s": within_s}
    stage = {"answers": 140, "loops": {"core": core}, "unchecked": list(unchecked)}
    return {"clock": {"validate-0": {"answers": 0, "loops": {}, "unchecked": []}, "infer-0": stage}}


@pytest.mark.parametrize(("within_s", "verdict"), [(0.002, HOLDS), (0.6, HOLDS), (0.7, OPEN)])
def test_a_loop_that_the_driver_timed_itself_holds(within_s: float, verdict: Verdict) -> None:
    clock = audited(result(5, provenance=by_both_clocks(within_s)))["clock"]
    assert clock.verdict is verdict
    assert "infer-0 core loop by the driver's own clock within" in clock.reason


def test_a_loop_that_gave_no_answer_is_held_to_the_duration_of_its_stage() -> None:
    unchecked = by_both_clocks(0.002, "whole")
    found = audited(result(5, provenance=unchecked, stages=[stage(31.2, 3.2)]))
    assert found["clock"].verdict is REFUTED


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"core": {"clock": "vendor-tool", "in_flight": 2, "includes": []}}, "clock"),
        ({"made_again": {"models/0": ["model/model.onnx"]}}, "caches"),
        ({"core_checks": {"infer-0": {"core_inputs": {"seed": 5}}}}, "core outputs"),
    ],
)
def test_what_was_not_seen_is_open(changes: dict[str, Any], name: str) -> None:
    found = audited(result(5, provenance=changes))
    assert found[name].verdict is OPEN
    assert overall(list(found.values())) is OPEN


def test_another_stack_is_a_comparison_and_leaves_it_open() -> None:
    run = result(5, job=documents.job(stack="cuda12.4-trt10.4"))
    found = audited(run)
    assert found["inputs"].verdict is OPEN
    assert "stack: cuda12.1-trt8.6, here cuda12.4-trt10.4" in found["inputs"].reason


def test_one_check_that_does_not_hold_decides() -> None:
    def one(verdict: Verdict) -> AuditCheck:
        return AuditCheck(name="job", verdict=verdict, reason="r")

    assert overall([one(HOLDS), one(OPEN)]) is OPEN
    assert overall([one(HOLDS), one(OPEN), one(REFUTED)]) is REFUTED
