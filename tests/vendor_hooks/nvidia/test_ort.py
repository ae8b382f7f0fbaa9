"""ONNX Runtime's providers for NVIDIA on the stand-in: what runs where, in which arithmetic, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.harness.job_folder import CLASSES, ROOT, SIDE
from tests.vendor_hooks.cpu import tiny_onnx as wire
from tests.vendor_hooks.standin import standin_python, with_reference_stack
from tests.vendor_hooks.token_graph import (
    assert_generates,
    expected_logits,
    generation_job,
    windows,
)
from tests.vendor_hooks.vendor_job import assert_right, core, run_as_driven, vendor_job, warned

if TYPE_CHECKING:
    from tests.harness.job_folder import JobFolder, Outcome

pytestmark = pytest.mark.stack

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
CPU = "CPUExecutionProvider"


@pytest.fixture
def python() -> Path:
    """The stack's Python: ONNX Runtime's stand-in, and package onnx."""
    return with_reference_stack(standin_python("nvidia", tensorrt="10.16.1", packages="onnx"))


def job_of(folder: Path, engine: str, precision: str = "fp32", tier: str = "smoke") -> JobFolder:
    job = vendor_job(folder / "job", "nvidia", engine, precision=precision)
    job.document["job"]["tier"] = tier
    return job


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16"])
def test_cuda_computes_in_the_types_of_the_graph_and_says_whether_in_tf32(
    tmp_path: Path, python: Path, precision: str
) -> None:
    outcome = run_as_driven(job_of(tmp_path, "ort_cuda", precision), "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert (effective["provider"], effective["arithmetic"]) == (CUDA, precision)
    assert effective["layer_arithmetic"] == {precision: 1}
    assert effective["provider_options"]["use_tf32"] == ("0" if precision == "fp32" else "1")
    assert set(effective["nodes"]) == {CUDA}
    # The graph's ends stay as the case declares them.
    assert effective["input_dtypes"] == {"input": "tensor(float)"}
    assert "arithmetic_unread" not in effective
    assert outcome.ok.warnings == ()


@pytest.mark.parametrize("engine", ["ort_cuda", "ort_tensorrt"])
def test_copies_are_inside_core_and_told_apart(tmp_path: Path, python: Path, engine: str) -> None:
    outcome = run_as_driven(job_of(tmp_path, engine), "infer", python)
    assert outcome.ok.effective["io_memory"] == "cuda"
    measured = core(outcome)
    phases = (measured.h2d_ns, measured.compute_ns, measured.d2h_ns)
    assert all(phase is not None and phase > 0 for phase in phases)
    assert sum(phase or 0 for phase in phases) <= measured.wall_ns


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16"])
def test_tensorrts_options_permit_an_arithmetic_and_force_none(
    tmp_path: Path, python: Path, precision: str
) -> None:
    outcome = run_as_driven(job_of(tmp_path, "ort_tensorrt", precision), "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert (effective["provider"], effective["arithmetic"]) == (TENSORRT, precision)
    assert "force none" in effective["arithmetic_unread"]
    half = "1" if precision == "fp16" else "0"
    assert effective["provider_options"]["trt_fp16_enable"] == half
    # The provider has no option for it.
    assert effective["nvidia_tf32_override"] == ("0" if precision == "fp32" else None)
    assert effective["next_operators"] == {}


def test_engines_of_tensorrt_are_kept(tmp_path: Path, python: Path) -> None:
    job = job_of(tmp_path, "ort_tensorrt", "fp16")
    made = {artifact.path for artifact in run_as_driven(job, "compile", python).ok.artifacts}
    assert any(path.startswith("cache/onnxruntime/") and ".engine" in path for path in made), made
    assert_right(run_as_driven(job, "infer", python, ASSAY_STANDIN_FAULT="compile:fail"))


def test_what_tensorrt_leaves_to_cuda_is_named(tmp_path: Path, python: Path) -> None:
    """It runs on the device, so it is no failure, but the figure is not TensorRT's alone."""
    job = job_of(tmp_path, "ort_tensorrt", tier="standard")
    outcome = run_as_driven(job, "infer", python, ASSAY_STANDIN_ORT_LEFT_BY_TENSORRT="Flatten")
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["next_operators"] == {CUDA: {"Flatten": 1}}
    assert effective["nodes"][CUDA] == 1
    said = warned(outcome, "effective_differs")
    assert f"{TENSORRT} took 2 of 3 nodes; ONNX Runtime gave {CUDA} 1 Flatten" in said


def with_shapes() -> bytes:
    """Return the tests' graph, with zeros of a shape that it computes."""
    first = wire.node("Shape", ["input"], "shape") + wire.message(3, "shape_of_input")
    sizes = wire.node("Gather", ["shape", "where"], "rows") + wire.message(3, "rows_of_shape")
    joined = wire.node("Concat", ["rows", "rest"], "wanted", wire.integer_attribute("axis", 0))
    nodes = [
        wire.node("GlobalAveragePool", ["input"], "pooled"),
        first,
        sizes,
        joined + wire.message(3, "wanted_shape"),
        wire.node("Flatten", ["pooled"], "flat"),
        wire.node("Expand", ["nothing", "wanted"], "zeros"),
        wire.node("Add", ["flat", "zeros"], "same"),
        wire.node("MatMul", ["same", "weights"], "logits"),
    ]
    body = b"".join(
        (
            *(wire.message(1, one) for one in nodes),
            wire.message(2, "shapes"),
            wire.message(5, wire.initializer("weights", wire.colour_weights(CLASSES))),
            wire.message(5, wire.initializer("nothing", np.zeros((1, 3), np.float32))),
            wire.message(5, wire.integers("where", [0])),
            wire.message(5, wire.integers("rest", [3])),
            wire.message(11, wire.value_info("input", ("batch", 3, SIDE, SIDE))),
            wire.message(12, wire.value_info("logits", ("batch", CLASSES))),
        )
    )
    opset = wire.message(8, wire.message(1, "") + wire.number(2, wire.OPSET))
    return wire.number(1, wire.IR_VERSION) + wire.message(7, body) + opset


def test_shapes_may_be_computed_on_the_cpu(tmp_path: Path, python: Path) -> None:
    """CUDA's provider leaves them there by design, from `standard` on too."""
    job = job_of(tmp_path, "ort_cuda", tier="standard")
    (job.folder / "model" / "model.onnx").write_bytes(with_shapes())
    outcome = run_as_driven(job, "infer", python, ASSAY_STANDIN_ORT_LEFT_BY_CUDA="Gather,Concat")
    assert_right(outcome)
    assert outcome.ok.effective["cpu_operators"] == {}
    assert outcome.ok.effective["nodes"]["CPUExecutionProvider, shapes"] == 2
    assert outcome.ok.warnings == ()


def left_to_the_cpu(folder: Path, engine: str, tier: str, python: Path, stage: str) -> Outcome:
    job = job_of(folder, engine, tier=tier)
    both = {
        "ASSAY_STANDIN_ORT_LEFT_BY_TENSORRT": "Flatten",
        "ASSAY_STANDIN_ORT_LEFT_BY_CUDA": "Flatten",
    }
    return run_as_driven(job, stage, python, **both)


@pytest.mark.parametrize("engine", ["ort_cuda", "ort_tensorrt"])
def test_what_they_leave_to_the_cpu_is_a_warning_in_a_smoke_run(
    tmp_path: Path, python: Path, engine: str
) -> None:
    outcome = left_to_the_cpu(tmp_path, engine, "smoke", python, "infer")
    assert_right(outcome)
    assert outcome.ok.effective["cpu_operators"] == {"Flatten": 1}
    assert "ONNX Runtime gave the CPU 1 Flatten" in warned(outcome, "effective_differs")


@pytest.mark.parametrize("engine", ["ort_cuda", "ort_tensorrt"])
def test_from_standard_on_it_is_a_failure(tmp_path: Path, python: Path, engine: str) -> None:
    outcome = left_to_the_cpu(tmp_path, engine, "standard", python, "compile")
    assert "ONNX Runtime gave the CPU 1 Flatten" in outcome.failed("compile")


@pytest.mark.parametrize("missing", [TENSORRT, CUDA])
def test_a_provider_whose_libraries_are_missing_is_not_replaced(
    tmp_path: Path, python: Path, missing: str
) -> None:
    """ONNX Runtime leaves it out with a warning: CUDA's would compute in its place, or the CPU."""
    job = job_of(tmp_path, "ort_tensorrt")
    outcome = run_as_driven(job, "compile", python, ASSAY_STANDIN_ORT_MISSING=missing)
    assert f"ONNX Runtime did not load {missing}" in outcome.failed("host")


def test_an_option_that_a_provider_does_not_know_is_a_failure(tmp_path: Path, python: Path) -> None:
    job = job_of(tmp_path, "ort_cuda")
    job.document["engine_options"] = {"provider": CUDA, "provider_options": {"use_tf23": 0}}
    assert 'Unknown provider option: "use_tf23"' in run_as_driven(job, "compile", python).failed(
        "compile"
    )


def test_tf32_that_is_on_for_fp32_is_found(tmp_path: Path, python: Path) -> None:
    """It is ONNX Runtime's default: an option that got lost must not give fp32 figures."""
    job = job_of(tmp_path, "ort_cuda")
    job.document["precision_options"] = {}
    outcome = run_as_driven(job, "infer", python)
    assert outcome.ok.effective["arithmetic"] == "tf32"
    assert "fp32 was requested, but" in warned(outcome, "effective_differs")


def test_a_cast_graph_is_kept_until_another_converter_makes_it(
    tmp_path: Path, python: Path
) -> None:
    job = job_of(tmp_path, "ort_cuda", "fp16")
    assert run_as_driven(job, "compile", python).ok
    record = job.folder / "cache" / "fp16.json"
    graph = job.folder / "cache" / "fp16" / "model.onnx"
    made = graph.stat().st_mtime_ns
    assert run_as_driven(job, "infer", python).ok.warnings == ()
    assert graph.stat().st_mtime_ns == made
    text = record.read_text(encoding="utf-8")
    record.write_text(text.replace('"onnxruntime ', '"onnxruntime 1.'), encoding="utf-8")
    assert "cast was onnxruntime 1." in warned(run_as_driven(job, "infer", python), "recompiled")


def test_cuda_generates_step_by_step(tmp_path: Path, python: Path) -> None:
    job = generation_job(tmp_path / "job", "nvidia", "ort_cuda", precision="fp32")
    outcome = run_as_driven(job, "infer", python)
    assert_generates(outcome)
    assert set(outcome.ok.effective["nodes"]) == {CUDA}


def test_in_fp16_keys_and_values_are_fp16_too(tmp_path: Path, python: Path) -> None:
    """Kept in fp32 they would take twice the memory, and a cast of all of them in each step."""
    job = generation_job(tmp_path / "job", "nvidia", "ort_cuda", precision="fp16")
    outcome = run_as_driven(job, "infer", python)
    dtypes = outcome.ok.effective["input_dtypes"]
    assert dtypes["past_key_values.0.key"] == dtypes["past_key_values.0.value"] == "tensor(float16)"
    logits = np.array([expected_logits(window) for window in windows(6)])
    np.testing.assert_allclose(outcome.npz("raw.npz")["logits"], logits, rtol=0.02, atol=0.5)


def test_the_providers_share_one_stack_with_the_framework_that_validates() -> None:
    stack = (ROOT / "images/nvidia/cuda13-ort/Dockerfile").read_text(encoding="utf-8")
    beside = (ROOT / "images/nvidia/cuda13-trt10.16/Dockerfile").read_text(encoding="utf-8")
    # The same base: its layers are shared, and a provider can be compared with TensorRT of the same release.
    assert stack.splitlines()[2] == beside.splitlines()[2]
