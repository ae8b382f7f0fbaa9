"""OpenVINO for real: precision read back, requests, cache."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.harness import modules  # noqa: F401 - puts the harness on the path
from tests.harness.job_folder import CLASSES, SIDE
from tests.vendor_hooks.cpu import tiny_onnx as wire
from tests.vendor_hooks.intel.stack import openvino_stack
from tests.vendor_hooks.vendor_job import assert_right, core, run, vendor_job, warned

pytestmark = pytest.mark.stack

INT32 = 6
engine: Any = import_module("vendor_hooks.intel.engines.openvino")


@pytest.fixture
def python() -> Path:
    found, reason = openvino_stack()
    if found is None:
        pytest.skip(reason)
    return found


def test_fp32_is_fp32_in_every_node_whatever_the_processor_prefers(
    tmp_path: Path, python: Path
) -> None:
    outcome = run(vendor_job(tmp_path / "job", "intel", "openvino", threads=1), "infer", python)
    assert_right(outcome)
    report = outcome.ok
    assert not report.simulated
    assert report.effective["arithmetic"] == "fp32"
    assert set(report.effective["node_precisions"]) == {"f32"}
    assert report.effective["threads"] == 1
    assert report.core_agreement == 1.0


def test_as_many_requests_fly_as_openvino_asks_for(tmp_path: Path, python: Path) -> None:
    outcome = run(vendor_job(tmp_path / "job", "intel", "openvino", threads=2), "infer", python)
    effective = outcome.ok.effective
    assert effective["performance_hint"] == "THROUGHPUT"
    assert core(outcome).in_flight == effective["in_flight"] >= effective["streams"]


def test_the_latency_engine_has_one_request_and_one_stream(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino-latency", threads=2)
    outcome = run(job, "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["performance_hint"] == "LATENCY"
    assert (effective["in_flight"], effective["streams"]) == (1, 1)


def test_bf16_runs_in_bf16_or_says_that_it_does_not(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino", precision="bf16")
    outcome = run(job, "infer", python)
    assert_right(outcome)
    if outcome.ok.effective["arithmetic"] == "bf16":
        exact = run(vendor_job(tmp_path / "fp32", "intel", "openvino"), "infer", python)
        lowered = outcome.npz("raw.npz")["logits"]
        difference = np.abs(lowered - exact.npz("raw.npz")["logits"]).max()
        assert 0 < difference < 0.02
    else:
        assert "bf16 was asked for" in warned(outcome, "effective_differs")


@pytest.mark.parametrize(
    ("hint", "nodes", "ran"),
    [
        ("bf16", {"bf16": 3}, "bf16"),
        ("bf16", {"bf16": 3, "f32": 1}, "bf16"),
        ("bf16", {"bf16": 2, "f32": 2}, "bf16"),
        ("bf16", {"bf16": 1, "f32": 2}, "fp32"),
        ("f32", {"f32": 1, "bf16": 9, "f16": 2}, "bf16"),
        ("bf16", {"i8": 5}, "i8"),
        ("f32", {}, "fp32"),
    ],
)
def test_arithmetic_is_what_most_computing_nodes_run_in_and_not_the_hint(
    hint: str, nodes: dict[str, int], ran: str
) -> None:
    assert engine.arithmetic_of(hint, nodes) == ran


def test_nodes_that_run_in_another_type_than_the_hint_are_warned_of(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino", precision="bf16")
    (job.folder / "model" / "model.onnx").write_bytes(integer_product())
    outcome = run(job, "infer", python)
    effective = outcome.ok.effective
    if effective["inference_precision_hint"] != "bf16":
        pytest.skip("this processor has no bf16")
    assert (effective["node_precisions"], effective["arithmetic"]) == ({"f32": 1}, "fp32")
    said = warned(outcome, "effective_differs")
    assert "bf16 was asked for, but OpenVINO runs fp32" in said
    assert "hint in force: bf16; computing nodes: 1 in f32" in said


def integer_product() -> bytes:
    """Return a graph whose one product is of integers: OpenVINO computes it in fp32, whatever the hint."""

    def cast(source: str, target: str, kind: int) -> bytes:
        to = wire.message(1, "to") + wire.number(3, kind) + wire.number(20, 2)
        return wire.message(1, wire.node("Cast", [source], target, wire.message(5, to)))

    weights = wire.colour_weights(CLASSES)
    body = b"".join(
        (
            wire.message(1, wire.node("GlobalAveragePool", ["input"], "pooled")),
            wire.message(1, wire.node("Flatten", ["pooled"], "flat")),
            cast("flat", "whole", INT32),
            cast("weights", "factors", INT32),
            wire.message(1, wire.node("MatMul", ["whole", "factors"], "products")),
            cast("products", "logits", wire.FLOAT),
            wire.message(2, "integers"),
            wire.message(5, wire.initializer("weights", weights)),
            wire.message(11, wire.value_info("input", ("batch", 3, SIDE, SIDE))),
            wire.message(12, wire.value_info("logits", ("batch", CLASSES))),
        )
    )
    opset = wire.message(1, "") + wire.number(2, wire.OPSET)
    return wire.number(1, wire.IR_VERSION) + wire.message(7, body) + wire.message(8, opset)


def test_infer_loads_what_compile_cached(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino")
    first = run(job, "compile", python).ok
    assert not first.effective["loaded_from_cache"]
    assert run(job, "compile", python).ok.cached
    report = run(job, "infer", python).ok
    assert report.effective["loaded_from_cache"]
    assert report.warnings == ()


def test_a_cache_of_another_processor_is_made_again_and_said_so(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino")
    assert run(job, "compile", python).ok
    record = job.folder / "cache" / "openvino.json"
    processor = '"processor": "'
    record.write_text(record.read_text().replace(processor, processor + "another "))
    outcome = run(job, "infer", python)
    assert "processor was another " in warned(outcome, "recompiled")
    assert_right(outcome)
    assert len(list((job.folder / "cache" / "openvino").glob("*.blob"))) == 1


def test_a_cache_that_openvino_refuses_is_made_again(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino")
    assert run(job, "compile", python).ok
    (blob,) = (job.folder / "cache" / "openvino").glob("*.blob")
    blob.unlink()
    outcome = run(job, "infer", python)
    assert "compiled again" in warned(outcome, "recompiled")
    assert_right(outcome)
