"""PyTorch's engines on the stand-in of torch.cuda: eager, inductor, Torch-TensorRT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness.interpreters import cpu_stack
from tests.vendor_hooks.standin import standin_python
from tests.vendor_hooks.vendor_job import assert_right, core, run, vendor_job

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack


@pytest.fixture
def python() -> Path:
    return standin_python("nvidia", tensorrt="8.6.1")


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
