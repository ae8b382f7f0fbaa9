"""Outputs that are not the model's fail, even if validation shares the fault; impossible figures never count."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from driver.aggregate.groups import comparable_rows, struck
from driver.aggregate.record import record_of
from driver.compare.facts import side_of
from driver.models.case import CaseManifest
from driver.models.report import Fidelity
from driver.models.result import Metrics, Result
from driver.results.gate import apply_gate
from driver.system.settings import ROOT
from driver.table_formats.flagperf import flagperf_table
from tests import documents

if TYPE_CHECKING:
    from driver.models.result import Gate

NOISE = 0.724
BF16 = 0.9999
"""Cosines with fp32: of outputs with noise that hardly changes classes, and of bf16 (vit_digits)."""


def case(name: str = "vit_digits") -> CaseManifest:
    import tomllib

    return CaseManifest.model_validate(
        tomllib.loads((ROOT / "cases" / name / "case.toml").read_text(encoding="utf-8"))
    )


def gate(cosine: float, arithmetic: str, *, core: float | None = None, **figures: Any) -> Gate:
    core_fidelity = None if core is None else Fidelity(items=8, cosine_min=core, max_abs=0.1)
    metrics = Metrics(
        acc_metric="top1",
        fidelity=Fidelity(items=64, cosine_min=cosine, max_abs=0.1),
        core_fidelity=core_fidelity,
        **figures,
    )
    return apply_gate(case(), metrics, arithmetic)


EQUAL: dict[str, Any] = {"acc_infer": 98.6, "acc_val": 98.6, "acc_kind": "labels"}


@pytest.mark.parametrize("arithmetic", ["fp32", "tf32", "fp16", "bf16", "int8"])
def test_noise_that_validation_shares_fails(arithmetic: str) -> None:
    found = gate(NOISE, arithmetic, **EQUAL)
    assert found.passed is False
    assert "matches validation, but outputs were" in found.reason


@pytest.mark.parametrize("figures", [EQUAL, {"acc_kind": "agreement"}, {"acc_infer": 98.6}])
def test_bf16_sold_as_fp32_fails(figures: dict[str, Any]) -> None:
    assert gate(BF16, "fp32", **figures).passed is False
    assert gate(BF16, "bf16", **figures).passed is True
    assert gate(1 - 1e-11, "fp32", **figures).passed is True


def test_core_outputs_that_are_not_the_models_fail_however_right_the_scored_ones_are() -> None:
    found = gate(1.0, "fp32", core=0.9, **EQUAL)
    assert found.passed is False
    assert found.reason == (
        "core loop, 8 sampled items: checked against fp32 golden outputs: cosine 0.900000, below 0.9999"
    )
    assert gate(1.0, "fp32", core=0.99999, **EQUAL).passed is True


def test_every_case_bounds_fp32_and_what_is_below_it() -> None:
    for path in sorted((ROOT / "cases").glob("*/case.toml")):
        assert case(path.parent.name).gate.fidelity_cosine_min is not None


@pytest.fixture
def impossible() -> Result:
    body = documents.document(warnings=documents.warned("implausible"))
    return Result.model_validate_json(json.dumps(body))


def test_an_impossible_figure_is_struck_out_of_tables_and_never_compared(
    impossible: Result,
) -> None:
    record = record_of(impossible, "r.json", edited=False)
    assert struck(record) == "not possible: faster than the chip can be"
    assert comparable_rows([record]) == []
    assert side_of([record]).refusals == (
        "its figures cannot be true (faster than the chip can be)",
    )
    assert "~~1329.2 !~~" in flagperf_table([impossible])
