"""PyTorch's engines on the stand-in of torch.cuda: eager, inductor, Torch-TensorRT."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.harness.interpreters import cpu_stack
from tests.vendor_hooks.standin import standin_python
from tests.vendor_hooks.vendor_job import (
    assert_right,
    core,
    manifest,
    vendor_job,
    warned,
)
from tests.vendor_hooks.vendor_job import run_as_driven as run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack


@pytest.fixture
def python() -> Path:
    """Return the Python of test_engine_contract.py: what both run with it runs once."""
    return standin_python("nvidia", tensorrt="8.6.1", layer_info="detailed")


@pytest.mark.parametrize("engine", ["eager", "inductor", "torch_tensorrt"])
def test_each_engine_predicts_rightly_with_two_batches_in_flight(
    tmp_path: Path, python: Path, engine: str
) -> None:
    outcome = run(vendor_job(tmp_path / "job", "nvidia", engine), "infer", python)
    assert_right(outcome)
    report = outcome.ok
    assert report.simulated
    assert report.core_agreement == 1.0
    assert core(outcome).in_flight == 2
    assert core(outcome).h2d_ns is not None
    assert report.effective["device"] == "NVIDIA A100-SXM4-40GB"


@pytest.mark.parametrize(
    ("precision", "dtype", "tf32"),
    [("fp32", "float32", False), ("tf32", "float32", True), ("bf16", "bfloat16", False)],
)
def test_eagers_arithmetic_is_read_back_from_torch(
    tmp_path: Path, python: Path, precision: str, dtype: str, tf32: bool
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "eager", precision=precision)
    effective = run(job, "infer", python).ok.effective
    assert effective["arithmetic"] == precision
    assert effective["parameter_dtypes"] == [dtype]
    assert effective["matmul_allow_tf32"] is tf32
    assert effective["cudnn_allow_tf32"] is tf32


OVERRIDE = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"


def test_fp32_is_not_tf32_where_the_image_asks_for_it(tmp_path: Path) -> None:
    """NVIDIA's PyTorch images set the variable to 1, and PyTorch 1.13 then ignores allow_tf32 = False."""
    python = standin_python("nvidia", tensorrt="8.5.1")
    granted = {OVERRIDE: "1", **manifest("nvidia").devices.env}
    job = vendor_job(tmp_path / "job", "nvidia", "eager", precision="fp32")
    effective = run(job, "infer", python, **granted).ok.effective
    assert (effective["matmul_allow_tf32"], effective["arithmetic"]) == (False, "fp32")


@pytest.mark.parametrize("engine", ["eager", "torch_tensorrt"])
def test_tf32_that_cannot_be_switched_off_ends_the_run(tmp_path: Path, engine: str) -> None:
    python = standin_python("nvidia", tensorrt="8.5.1")
    job = vendor_job(tmp_path / "job", "nvidia", engine, precision="fp32")
    outcome = run(job, "infer", python, **{OVERRIDE: "1"})
    assert "torch.backends.cuda.matmul.allow_tf32 is still True" in outcome.failed("image")
    assert outcome.document is not None
    assert f'env = {{ {OVERRIDE} = "0" }}' in outcome.document["failure"]["remedy"]


def test_inductors_compile_fails_as_a_compile_failure(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "inductor")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:fail")
    assert "no kernel for aten.mm" in outcome.failed("compile")


def test_no_device_is_the_hosts_failure_and_found_before_anything_is_compiled(
    tmp_path: Path,
) -> None:
    python, reason = cpu_stack()
    if python is None:
        pytest.skip(reason)
    outcome = run(vendor_job(tmp_path / "job", "nvidia", "eager"), "compile", python)
    assert "sees no device" in outcome.failed("host")


def test_what_torch_tensorrt_compiled_is_loaded_by_infer(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "torch_tensorrt")
    first = run(job, "compile", python).ok
    assert {"cache/engine.ts", "cache/engine.ts.json"} <= {one.path for one in first.artifacts}
    assert (first.cached, run(job, "compile", python).ok.cached) == (False, True)
    outcome = run(job, "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert (effective["loaded_from_cache"], effective["attention"]) == (True, "eager")
    assert (effective["tensorrt_engines"], effective["left_to_pytorch"]) == (1, {})


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16"])
def test_torch_tensorrts_arithmetic_is_read_back_from_its_layers(
    tmp_path: Path, python: Path, precision: str
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "torch_tensorrt", precision=precision)
    report = run(job, "infer", python).ok
    assert report.effective["arithmetic"] == precision
    assert report.effective["layer_arithmetic"] == {precision: 1}
    assert report.warnings == ()


def test_torch_tensorrt_that_ignores_fp16_is_recorded_as_what_it_ran(
    tmp_path: Path, python: Path
) -> None:
    """As 2.13 does for ir="ts"; the requested fp16 was recorded as the arithmetic."""
    job = vendor_job(tmp_path / "job", "nvidia", "torch_tensorrt")
    outcome = run(job, "infer", python, ASSAY_STANDIN_FAULT="compile:ignore")
    assert outcome.ok.effective["arithmetic"] == "tf32"
    assert "fp16 was requested" in warned(outcome, "effective_differs")


def test_an_arithmetic_that_torch_tensorrt_does_not_state_is_not_taken_from_the_job(
    tmp_path: Path,
) -> None:
    python = standin_python("nvidia", tensorrt="8.6.1")
    outcome = run(vendor_job(tmp_path / "job", "nvidia", "torch_tensorrt"), "infer", python)
    effective = outcome.ok.effective
    assert "arithmetic" not in effective
    assert "the layer information has names only" in effective["arithmetic_unread"]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (None, "no layer information"),
        ('["a", "b"]', "names only"),
        ('[{"Name": "{ForeignNode[a...b]}", "LayerType": "Myelin"}]', "hides what runs inside"),
        ('[{"Name": "a", "LayerType": "CaskConvolution", "Inputs": []}]', "no datatype"),
        ('[{"Name": "a", "LayerType": "PointWise"}]', "no datatype"),
    ],
)
def test_layers_that_do_not_state_their_arithmetic_give_none(
    layers: str | None, expected: str
) -> None:
    layer_module = importlib.import_module("vendor_hooks.nvidia.engine_layers")
    text = layers and f'{{"Layers": {layers}}}'
    arithmetic, counts, why = layer_module.read_back([text])
    assert (arithmetic, counts) == (None, {})
    assert expected in why


@pytest.mark.parametrize(
    "port",
    [
        {"Format/Datatype": "Row major linear FP16 format"},
        {"Format": "Row major linear format (kLINEAR)", "Datatype": "Half"},
        {"Format": "Row major linear format (kLINEAR)", "DataType": "Half"},
    ],
)
def test_the_datatype_is_read_in_one_field_or_in_two(port: dict[str, str]) -> None:
    layer_module = importlib.import_module("vendor_hooks.nvidia.engine_layers")
    layer = {"Name": "a", "LayerType": "gemm", "Inputs": [port]}
    text = json.dumps({"Layers": [layer], "I/O Tensors": []})
    assert layer_module.read_back([text]) == ("fp16", {"fp16": 1}, "")


def test_torch_tensorrt_that_converts_nothing_is_no_torch_tensorrt(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "torch_tensorrt")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:nothing")
    message = outcome.failed("compile")
    assert "no TensorRT engine" in message
    assert "aten::linear" in message
    assert not (job.folder / "cache" / "engine.ts.json").exists()


def test_what_torch_tensorrt_leaves_to_pytorch_is_counted_and_said(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "torch_tensorrt")
    assert run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:part").ok
    outcome = run(job, "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["loaded_from_cache"] is True
    assert (effective["tensorrt_engines"], effective["left_to_pytorch"]) == (1, {"aten::matmul": 1})
    messages = [w.message for w in outcome.ok.warnings if w.code == "effective_differs"]
    message = next(text for text in messages if "computes a part" in text)
    assert "1 aten::matmul" in message
    assert "fp32" in message


@pytest.mark.parametrize(
    ("before", "changed"),
    [
        ({"tensorrt": "8.5.1"}, "torch_tensorrt was 1.3.0, now 1.4.0"),
        ({"tensorrt": "8.6.1", "chip": "T4"}, "device was Tesla T4, now NVIDIA A100-SXM4-40GB"),
    ],
)
def test_torch_tensorrts_module_of_another_version_or_chip_is_compiled_again_and_said_so(
    tmp_path: Path, python: Path, before: dict[str, str], changed: str
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "torch_tensorrt")
    assert run(job, "compile", standin_python("nvidia", **before)).ok
    outcome = run(job, "infer", python)
    assert changed in warned(outcome, "recompiled")
    assert outcome.ok.effective["loaded_from_cache"] is False
    assert_right(outcome)


def test_torch_tensorrts_damaged_module_is_compiled_again_and_said_so(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "torch_tensorrt")
    assert run(job, "compile", python).ok
    saved = job.folder / "cache" / "engine.ts"
    saved.write_bytes(saved.read_bytes()[:1000])
    outcome = run(job, "infer", python)
    assert "could not be loaded" in warned(outcome, "recompiled")
    assert_right(outcome)


def test_torch_tensorrts_failed_compilation_leaves_nothing_that_counts(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "torch_tensorrt")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:fail")
    assert "Building serialized network failed" in outcome.failed("compile")
    assert not (job.folder / "cache" / "engine.ts.json").exists()
