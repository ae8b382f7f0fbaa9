"""CANN 9 on the stand-ins: atc's newer flag, PyTorch on the NPU, ONNX Runtime with CANN's provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.job_folder import CLASSES, SIDE, JobFolder
from tests.vendor_hooks.ascend.stack import CHIPS, cann_python
from tests.vendor_hooks.cpu import tiny_onnx as wire
from tests.vendor_hooks.vendor_job import assert_right, core, manifest, vendor_job, warned
from tests.vendor_hooks.vendor_job import run_as_driven as run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack

OWN = "CANNExecutionProvider"
A2, INFERENCE = "cann9.1-910b", "cann9.1-310p"


def job_of(folder: Path, engine: str, stack: str, **changes: Any) -> JobFolder:
    """Return a job of an engine on a stack, on the chip that the stack is for."""
    changes.setdefault("chip", CHIPS.get(stack))
    return vendor_job(folder / "job", "ascend", engine, stack=stack, **changes)


# --- atc --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stack", "precision", "flags"),
    [
        (INFERENCE, "fp16", "--precision_mode_v2=fp16"),
        (INFERENCE, "mixed", "--precision_mode_v2=mixed_float16"),
        (INFERENCE, "cube_fp16in_fp32out", "--precision_mode_v2=cube_fp16in_fp32out"),
        (INFERENCE, "origin", "--precision_mode_v2=origin"),
        # Convolutions in HF32 are its default, and would not be fp32.
        (A2, "origin", "--precision_mode_v2=origin --allow_hf32=false"),
    ],
)
def test_atc_of_cann_9_gets_the_precision_by_the_newer_flag(
    tmp_path: Path, stack: str, precision: str, flags: str
) -> None:
    job = job_of(tmp_path, "cann", stack, precision=precision)
    effective = run(job, "compile", cann_python(stack)).ok.effective
    assert flags in effective["command"]
    assert "--precision_mode=" not in effective["command"]
    assert ("--allow_hf32" in effective["command"]) == ("--allow_hf32" in flags)
    assert effective["precision_mode"] == flags.split(maxsplit=1)[0].partition("=")[2]
    assert effective["soc_version"] == f"Ascend{CHIPS.get(stack, '310P3')}"


def test_what_atc_of_cann_9_compiled_runs_on_a_910b(tmp_path: Path) -> None:
    outcome = run(job_of(tmp_path, "cann", A2), "infer", cann_python(A2))
    assert_right(outcome)
    assert outcome.ok.effective["chip_source"] == "npu-smi"
    assert outcome.ok.memory is not None


# --- PyTorch ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stack", "precision", "dtype"),
    [
        (A2, "fp16", "float16"),
        (A2, "bf16", "bfloat16"),
        (A2, "fp32", "float32"),
        (INFERENCE, "fp16", "float16"),
    ],
)
def test_eager_says_what_ran_on_which_chip(
    tmp_path: Path, stack: str, precision: str, dtype: str
) -> None:
    outcome = run(
        job_of(tmp_path, "eager", stack, precision=precision), "infer", cann_python(stack)
    )
    assert_right(outcome)
    report = outcome.ok
    assert report.simulated
    assert report.warnings == ()
    effective = report.effective
    assert (effective["precision"], effective["arithmetic"]) == (precision, precision)
    assert effective["parameter_dtypes"] == [dtype]
    assert (effective["matmul_allow_hf32"], effective["conv_allow_hf32"]) == (False, False)
    assert effective["jit_compile"] is False
    assert effective["device"] == f"Ascend{CHIPS.get(stack, '310P3')}"
    assert report.versions["torch_npu"] == "2.12.0.post2"
    measured = core(outcome)
    assert measured.in_flight == 2
    assert measured.compute_ns is not None


@pytest.mark.parametrize(
    ("precision", "why"),
    [("fp32", "would multiply fp16 in place of fp32"), ("bf16", "it has no bfloat16")],
)
def test_a_310p_refuses_what_it_would_compute_as_something_else(
    tmp_path: Path, precision: str, why: str
) -> None:
    job = job_of(tmp_path, "eager", INFERENCE, precision=precision)
    outcome = run(job, "compile", cann_python(INFERENCE))
    message = outcome.failed("compile")
    assert f"Ascend310P3 cannot run PRECISION={precision}" in message
    assert why in message
    assert outcome.report.failure is not None
    assert outcome.report.failure.remedy == "use PRECISION=fp16"


def test_a_chip_that_is_not_the_one_named_is_said(tmp_path: Path) -> None:
    job = job_of(tmp_path, "eager", A2, chip="310P")
    said = warned(run(job, "infer", cann_python(A2)), "effective_differs")
    assert "CHIP=310P was assumed" in said
    assert "the device is Ascend910B4" in said


def test_a_device_that_is_not_there_is_the_hosts_failure(tmp_path: Path) -> None:
    job = job_of(tmp_path, "eager", A2, device="7")
    assert "device 7 cannot be opened" in run(job, "infer", cann_python(A2)).failed("host")


# --- ONNX Runtime -----------------------------------------------------------------------------
def provider_job(folder: Path, *, tier: str = "smoke", foreign: str | None = None) -> JobFolder:
    """Return a job of ONNX Runtime, with an operator in its graph that the provider does not take."""
    job = job_of(folder, "onnxruntime", A2)
    job.document["job"]["tier"] = tier
    if foreign is not None:
        (job.folder / "model" / "model.onnx").write_bytes(graph_with(foreign))
    return job


def graph_with(operator: str) -> bytes:
    """Return the tests' graph, and beside it a node whose output nobody uses but that is an output."""
    nodes = [
        wire.node("GlobalAveragePool", ["input"], "pooled"),
        wire.node("Flatten", ["pooled"], "flat"),
        wire.node("MatMul", ["flat", "weights"], "product"),
        wire.node(operator, ["product"], "odd"),
        wire.node("Where", ["odd", "product", "product"], "logits"),
    ]
    body = b"".join(
        (
            *(wire.message(1, one) for one in nodes),
            wire.message(2, "foreign"),
            wire.message(5, wire.initializer("weights", wire.colour_weights(CLASSES))),
            wire.message(11, wire.value_info("input", (4, 3, SIDE, SIDE))),
            wire.message(12, wire.value_info("logits", (4, CLASSES))),
        )
    )
    opset = wire.message(8, wire.message(1, "") + wire.number(2, 11))
    return wire.number(1, wire.IR_VERSION) + wire.message(7, body) + opset


@pytest.mark.parametrize(
    ("precision", "mode", "arithmetic"),
    [
        ("fp16", "force_fp16", "fp16"),
        ("cube_fp16in_fp32out", "force_fp32", "fp16"),
        ("origin", "must_keep_origin_dtype", "fp32"),
    ],
)
def test_the_providers_mode_is_read_back_and_says_the_arithmetic(
    tmp_path: Path, precision: str, mode: str, arithmetic: str
) -> None:
    job = job_of(tmp_path, "onnxruntime", A2, precision=precision)
    outcome = run(job, "infer", cann_python(A2))
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["provider_options"]["precision_mode"] == mode
    assert effective["provider_options"]["dump_om_model"] == "0"
    assert (effective["precision"], effective["arithmetic"]) == (precision, arithmetic)
    assert OWN in effective["arithmetic_unread"]
    assert effective["nodes"] == {OWN: 3}
    assert outcome.ok.warnings == ()


def test_eager_validates_onnx_runtime(tmp_path: Path) -> None:
    changes = {"validate_engine": "eager", "validate_precision": "fp16"}
    job = job_of(tmp_path, "onnxruntime", A2, **changes)
    validated = run(job, "validate", cann_python(A2))
    assert_right(validated)
    assert validated.ok.details["engine"] == "eager"


def test_what_the_provider_leaves_to_the_cpu_is_counted_and_an_error_from_standard_on(
    tmp_path: Path,
) -> None:
    outcome = run(provider_job(tmp_path / "smoke", foreign="IsInf"), "infer", cann_python(A2))
    assert outcome.ok.effective["cpu_operators"] == {"IsInf": 1}
    assert "ONNX Runtime gave the CPU 1 IsInf" in warned(outcome, "effective_differs")
    job = provider_job(tmp_path / "standard", tier="standard", foreign="IsInf")
    assert "gave the CPU 1 IsInf" in run(job, "compile", cann_python(A2)).failed("compile")


def test_the_guard_of_softmax_may_run_on_the_cpu(tmp_path: Path) -> None:
    job = provider_job(tmp_path, tier="standard", foreign="IsNaN")
    outcome = run(job, "infer", cann_python(A2))
    assert_right(outcome)
    assert outcome.ok.warnings == ()
    assert outcome.ok.effective["cpu_operators"] == {"IsNaN": 1}


def test_the_provider_is_in_the_stacks_of_cann_9_alone(tmp_path: Path) -> None:
    job = job_of(tmp_path, "onnxruntime", A2)
    message = run(job, "compile", cann_python("cann5.1.rc2")).failed("image")
    assert f"has no {OWN}" in message


def test_each_910b_is_a_chip_of_its_own_peak() -> None:
    chips = {name: chip for name, chip in manifest("ascend").chips.items() if "910B" in name}
    peaks = {name: chip.peaks.get("fp16") for name, chip in chips.items()}
    assert peaks == {"910B1": 363.7e12, "910B2": 353.9e12, "910B3": 294.9e12, "910B4": 245.8e12}
    assert all(chip.match == (name,) for name, chip in chips.items())
