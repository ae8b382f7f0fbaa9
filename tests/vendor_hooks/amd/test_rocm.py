"""AMD's engines on Instinct, on the stand-ins: MIGraphX, ONNX Runtime with it as provider, PyTorch for ROCm."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.vendor_hooks.standin import SITE, standin_python
from tests.vendor_hooks.vendor_job import assert_right, core, vendor_job, warned
from tests.vendor_hooks.vendor_job import run_as_driven as run

pytestmark = pytest.mark.stack

ROCM = "amd/rocm7"
PROBES = Path(__file__).parent / "probes"


@pytest.fixture
def python() -> Path:
    """Return the stand-in's Python, in which ODD_PROVIDER leaves nodes to the CPU."""
    found = standin_python("amd")
    done = subprocess.run([str(found), "-c", SITE], check=True, capture_output=True, text=True)
    odd = Path(json.loads(done.stdout)) / "odd.pth"
    odd.write_text(f"{PROBES}\nimport odd_provider\n", encoding="utf-8")
    return found


@pytest.mark.parametrize(
    ("precision", "quantized"),
    [("fp32", None), ("fp16", "quantize_fp16"), ("bf16", "quantize_bf16")],
)
def test_migraphx_reports_the_types_of_the_kernels_that_were_compiled(
    tmp_path: Path, python: Path, precision: str, quantized: str | None
) -> None:
    job = vendor_job(tmp_path / "job", ROCM, "migraphx", precision=precision)
    outcome = run(job, "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert outcome.ok.simulated
    assert effective["arithmetic"] == precision
    assert effective["quantized"] == quantized
    assert effective["graph_products"] == effective["kernel_products"] == {precision: 1}
    assert effective["offload_copy"] is False
    assert effective["device"] == "AMD Instinct MI300X"
    assert {"migraphx", "torch", "hip"} <= set(outcome.ok.versions)
    assert outcome.ok.warnings == ()


def test_migraphx_has_copies_inside_core_beside_the_computation(
    tmp_path: Path, python: Path
) -> None:
    measured = core(run(vendor_job(tmp_path / "job", ROCM, "migraphx"), "infer", python))
    assert (measured.in_flight, measured.clock) == (2, "harness")
    phases = (measured.h2d_ns, measured.compute_ns, measured.d2h_ns)
    assert all(phase is not None and phase > 0 for phase in phases)


def test_a_precision_that_the_compiler_ignored_is_said(tmp_path: Path, python: Path) -> None:
    """The graph is fp16, and its kernels are not: what the device lacks is cast to float."""
    job = vendor_job(tmp_path / "job", ROCM, "migraphx")
    outcome = run(job, "infer", python, ASSAY_STANDIN_FAULT="compile:ignore")
    assert outcome.ok.effective["graph_products"] == {"fp16": 1}
    assert outcome.ok.effective["arithmetic"] == "fp32"
    assert "fp16 was requested, but" in warned(outcome, "effective_differs")


def test_operators_on_the_host_are_said_in_a_smoke_run(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", ROCM, "migraphx")
    outcome = run(job, "infer", python, ASSAY_STANDIN_FAULT="compile:part")
    assert_right(outcome)
    assert "1 tensors are copied to it" in warned(outcome, "effective_differs")


def test_operators_on_the_host_fail_any_other_run(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", ROCM, "migraphx")
    job.document["job"]["tier"] = "standard"
    outcome = run(job, "infer", python, ASSAY_STANDIN_FAULT="compile:part")
    assert "a part of the graph on the host" in outcome.failed("compile")


def test_a_program_of_another_precision_is_compiled_again(tmp_path: Path, python: Path) -> None:
    before = vendor_job(tmp_path / "before", ROCM, "migraphx", precision="bf16")
    assert run(before, "compile", python).ok
    job = vendor_job(tmp_path / "job", ROCM, "migraphx")
    for path in (before.folder / "cache").iterdir():
        (job.folder / "cache" / path.name).write_bytes(path.read_bytes())
    outcome = run(job, "infer", python)
    assert "precision was bf16, now fp16" in warned(outcome, "recompiled")
    assert_right(outcome)


def test_a_damaged_program_is_compiled_again_and_said_so(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", ROCM, "migraphx")
    assert run(job, "compile", python).ok
    (job.folder / "cache" / "program.mxr").write_bytes(b"cut short")
    outcome = run(job, "infer", python)
    assert "could not be loaded (msgpack.cpp" in warned(outcome, "recompiled")
    assert_right(outcome)


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", ROCM, "migraphx")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:fail")
    assert "MIGraphX compiled no program: mlir.cpp" in outcome.failed("compile")


def test_a_compilation_without_memory_is_no_compile_failure(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", ROCM, "migraphx")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:oom")
    assert "Gpu allocation failed" in outcome.failed("out_of_memory")


def test_a_graph_of_other_sizes_breaks_the_contract(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", ROCM, "migraphx")
    other = vendor_job(tmp_path / "other", ROCM, "migraphx", batch_size=2)
    graph = (other.folder / "model" / "model.onnx").read_bytes()
    (job.folder / "model" / "model.onnx").write_bytes(graph)
    message = run(job, "infer", python).failed("contract")
    assert "input float32 as [2, 3, " in message
    assert "not float32 [4, 3, " in message


@pytest.mark.parametrize("engine", ["eager", "inductor"])
def test_another_vendors_pytorch_is_not_booked_on_amd(tmp_path: Path, engine: str) -> None:
    job = vendor_job(tmp_path / "job", ROCM, engine)
    outcome = run(job, "compile", standin_python("iluvatar"))
    assert "was not built for ROCm" in outcome.failed("image")


def test_migraphx_too_needs_its_own_builds_pytorch(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", ROCM, "migraphx", engine_options={"torch_build": "corex"})
    assert "was not built for CoreX" in run(job, "compile", python).failed("image")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", "float32"), ("fp16", "float16"), ("bf16", "bfloat16")]
)
def test_eager_is_pytorchs_on_rocm(
    tmp_path: Path, python: Path, precision: str, dtype: str
) -> None:
    outcome = run(vendor_job(tmp_path / "job", ROCM, "eager", precision=precision), "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["parameter_dtypes"] == [dtype]
    assert (effective["matmul_allow_tf32"], effective["cudnn_allow_tf32"]) == (False, False)
    assert outcome.ok.versions["hip"].startswith("7.2")


def test_eager_validates_migraphx_and_gives_the_same(tmp_path: Path, python: Path) -> None:
    asked: dict[str, Any] = {"validate_engine": "eager", "validate_precision": "fp32"}
    job = vendor_job(tmp_path / "job", ROCM, "migraphx", precision="fp32", **asked)
    ours = run(job, "infer", python).npz("raw.npz")["logits"]
    validated = run(job, "validate", python)
    assert_right(validated)
    # Not the engine of that name of another stack, which runs on the host.
    assert (validated.ok.simulated, validated.ok.effective["device"]) == (
        True,
        "AMD Instinct MI300X",
    )
    # The case's module pushes three classes down by a bias; its graph has the first three alone.
    np.testing.assert_allclose(ours[:, :3], validated.npz("raw.npz")["logits"][:, :3], atol=1e-5)


def test_nodes_of_the_provider_are_counted(tmp_path: Path, python: Path) -> None:
    outcome = run(vendor_job(tmp_path / "job", ROCM, "onnxruntime"), "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["nodes"] == {"MIGraphXExecutionProvider": 3}
    assert effective["provider_options"]["migraphx_fp16_enable"] == "1"
    assert list((tmp_path / "job" / "cache" / "onnxruntime").glob("*.mxr"))
    assert outcome.ok.warnings == ()


@pytest.mark.parametrize("tier", ["smoke", "standard"])
def test_nodes_on_the_cpu_are_an_error_from_standard_on(
    tmp_path: Path, python: Path, tier: str
) -> None:
    job = vendor_job(tmp_path / "job", ROCM, "onnxruntime")
    job.document["job"]["tier"] = tier
    outcome = run(job, "infer", python, ODD_PROVIDER="MatMul")
    said = "took 2 of 3 nodes; ONNX Runtime gave the CPU 1 MatMul"
    if tier == "smoke":
        assert said in warned(outcome, "effective_differs")
        assert outcome.ok.effective["cpu_operators"] == {"MatMul": 1}
    else:
        assert said in outcome.failed("compile")


def test_a_variable_that_goes_before_the_precision_is_found(tmp_path: Path, python: Path) -> None:
    """ONNX Runtime lets ORT_MIGRAPHX_FP16_ENABLE replace the option: a fp32 run computed in fp16."""
    job = vendor_job(tmp_path / "job", ROCM, "onnxruntime", precision="fp32")
    outcome = run(job, "infer", python, ORT_MIGRAPHX_FP16_ENABLE="1")
    assert "migraphx_fp16_enable is 1, not 0" in warned(outcome, "effective_differs")
