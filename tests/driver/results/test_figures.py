"""Figures: items over wall time, MFU by the arithmetic that ran, and None for what is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.catalog.catalog import load_catalog
from driver.models.case import GateSpec, MetricSpec
from driver.models.report import Fidelity, StageReport
from driver.results.figures import compute_metrics, mfu
from driver.results.gate import gate_accuracy, gate_fidelity, relative_drop
from tests.driver.miniature import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.result import Gate, Metrics

RULE = GateSpec(relative_drop=0.01, fidelity_cosine_min=0.999, reason="the published rule")
TOP1 = MetricSpec(name="top1", unit="%")


def report(stage: str, repeat: int = 0, **more: Any) -> StageReport:
    return StageReport.model_validate(
        {
            "schema": "assay/stage-report/1",
            "job_id": "0" * 16,
            "stage": stage,
            "repeat": repeat,
            "status": "ok",
            "wall_ns": 1,
            **more,
        }
    )


def loop(name: str, items: int, wall_s: float) -> dict[str, Any]:
    return {
        "name": name,
        "items": items,
        "calls": items,
        "wall_ns": int(wall_s * 1e9),
        "in_flight": 1,
        "clock": "harness",
    }


def compute(tmp_path: Path, *reports: StageReport, **more: Any) -> tuple[Metrics, Gate | None]:
    catalog = load_catalog(make_tree(tmp_path))
    return compute_metrics(
        reports,
        case=catalog.case("tiny").manifest,
        chip=catalog.vendor("acme").manifest.chips["One"],
        arithmetic="tf32",
        precision="fp32",
        **more,
    )


def test_throughput_is_items_over_wall_time_median_over_processes(tmp_path: Path) -> None:
    infers = [
        report("infer", r, measurements=[loop("core", 100, s), loop("whole", 50, 1.0)])
        for r, s in enumerate((1.0, 0.5, 0.8))
    ]
    metrics, gate = compute(tmp_path, *infers)
    assert metrics.p_infer_core == pytest.approx(125.0)
    assert metrics.p_infer_whole == pytest.approx(50.0)
    assert metrics.spread["p_infer_core"].values == pytest.approx((100.0, 200.0, 125.0))
    assert gate is None


def test_mfu_counts_two_operations_per_mac_over_the_peak_of_the_arithmetic_that_ran(
    tmp_path: Path,
) -> None:
    metrics, _ = compute(tmp_path, report("infer", measurements=[loop("core", 100, 1.0)]))
    assert metrics.mfu == pytest.approx(100 * 2 * 1000 * 100 / 1e9)
    assert metrics.mfu_published_convention == pytest.approx(100 * 1100 * 100 / 1e9)


def test_a_figure_that_was_not_measured_is_none_never_zero(tmp_path: Path) -> None:
    metrics, _ = compute(tmp_path)
    figures = metrics.model_dump(exclude={"acc_metric", "latency_ms", "acc_also", "spread"})
    assert set(figures.values()) == {None}


def test_memory_is_the_largest_peak_of_all_processes(tmp_path: Path) -> None:
    def used(repeat: int, gib: int | None) -> StageReport:
        peak = None if gib is None else gib << 30
        return report("infer", repeat, memory={"peak_bytes": peak, "source": "sdk"})

    metrics, _ = compute(tmp_path, used(0, 2), used(1, 5), used(2, None), used(3, 3))
    assert metrics.mem_gib == 5.0


def test_without_a_peak_there_is_no_mfu() -> None:
    assert mfu(1000, 10.0, None, operations_per_mac=2) is None
    assert mfu(1000, None, 1e9, operations_per_mac=2) is None


def test_percentiles_need_enough_samples(tmp_path: Path) -> None:
    few, _ = compute(tmp_path, latency_samples_ns=np.full(63, 1_000_000))
    many, _ = compute(tmp_path, latency_samples_ns=np.full(662, 1_000_000))
    assert (few.latency_ms.p50, few.latency_ms.p90, few.latency_ms.p99) == (1.0, None, None)
    assert (many.latency_ms.p90, many.latency_ms.p99) == (1.0, 1.0)


def test_with_labels_the_gate_compares_inference_with_validation(tmp_path: Path) -> None:
    def scored(infer: float) -> StageReport:
        values = {"infer": infer, "validate": 79.3}
        return report(
            "score",
            accuracy={
                name: {"kind": "labels", "items": 4, "values": {"top1": value, "top5": 94.0}}
                for name, value in values.items()
            },
        )

    metrics, gate = compute(tmp_path, scored(79.0))
    assert (metrics.acc_infer, metrics.acc_val, metrics.acc_also) == (79.0, 79.3, {"top5": 94.0})
    assert gate is not None
    assert gate.passed is True
    assert compute(tmp_path, scored(78.4))[1].passed is False  # type: ignore[union-attr]


def test_without_labels_the_gate_compares_outputs_with_fp32(tmp_path: Path) -> None:
    def scored(cosine: float) -> StageReport:
        return report(
            "score",
            accuracy={"infer": {"kind": "agreement", "items": 3, "values": {"top1": 66.7}}},
            fidelity={"items": 3, "cosine_min": cosine, "max_abs": 0.1},
        )

    assert compute(tmp_path, scored(0.9999))[1].passed is True  # type: ignore[union-attr]
    assert compute(tmp_path, scored(0.98))[1].passed is False  # type: ignore[union-attr]


def gated(tmp_path: Path, cosine: float, **accuracy: float) -> Gate:
    score = report(
        "score",
        accuracy={
            name: {"kind": "labels", "items": 4, "values": {"top1": value}}
            for name, value in accuracy.items()
        },
        fidelity={"items": 3, "cosine_min": cosine, "max_abs": 0.1},
    )
    gate = compute(tmp_path, score)[1]
    assert gate is not None
    return gate


def test_without_validation_outputs_are_compared_with_fp32_even_if_there_are_labels(
    tmp_path: Path,
) -> None:
    broken = gated(tmp_path, -0.36, infer=0.0)
    assert broken.passed is False
    assert broken.reason == (
        "no validation, outputs checked against fp32 golden outputs: cosine -0.360000, below 0.99"
    )
    assert gated(tmp_path, 0.9999, infer=98.1).passed is True


def test_matching_accuracies_of_a_broken_device_do_not_pass(tmp_path: Path) -> None:
    both = {"infer": 10.0, "validate": 10.0}
    assert gated(tmp_path, 0.2, **both).passed is False
    assert gated(tmp_path, 0.95, **both).passed is True, "a lower precision: accuracy decides"


@pytest.mark.parametrize(
    ("measured", "reference", "passes"),
    [(79.0, 79.3, True), (17.1, 25.2, False), (0.89, 1.0, False)],
)
def test_the_gate_on_the_published_figures(measured: float, reference: float, passes: bool) -> None:
    gate = gate_accuracy(RULE, TOP1, measured, reference)
    assert gate.passed is passes
    assert f"{measured:.2f}" in gate.reason


def test_a_gate_without_a_reference_is_not_checked() -> None:
    assert gate_accuracy(RULE, TOP1, 79.0, None).passed is None
    assert gate_fidelity(RULE, None, 0.999).passed is None


def test_fidelity_exactly_at_its_bound_passes() -> None:
    assert (
        gate_fidelity(RULE, Fidelity(items=1, cosine_min=0.999, max_abs=0.0), 0.999).passed is True
    )


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_higher_accuracy_is_never_a_drop(measured: float, reference: float) -> None:
    drop = relative_drop(measured, reference)
    assert (drop <= 0) == (measured >= reference)
    assert relative_drop(measured, reference, higher_is_better=False) == -drop
