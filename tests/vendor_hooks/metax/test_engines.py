"""MetaX's engines on the stand-ins: PyTorch on MACA, and MacaRT's provider read back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.harness.interpreters import cpu_stack
from tests.vendor_hooks.standin import SITE, standin_python
from tests.vendor_hooks.vendor_job import assert_right, core, vendor_job, warned
from tests.vendor_hooks.vendor_job import run_as_driven as run

pytestmark = pytest.mark.stack


PROBES = Path(__file__).parent / "probes"


@pytest.fixture
def python() -> Path:
    """Return the stand-in's Python, which ODD_MACA makes an odd one."""
    found = standin_python("metax")
    done = subprocess.run([str(found), "-c", SITE], check=True, capture_output=True, text=True)
    odd = Path(json.loads(done.stdout)) / "odd.pth"
    odd.write_text(f"{PROBES}\nimport odd_maca\n", encoding="utf-8")
    return found


@pytest.mark.parametrize(
    ("precision", "dtype", "tf32"),
    [
        ("fp32", "float32", False),
        ("tf32", "float32", True),
        ("fp16", "float16", False),
        ("bf16", "bfloat16", False),
    ],
)
def test_eager_says_what_ran_on_which_maca(
    tmp_path: Path, python: Path, precision: str, dtype: str, tf32: bool
) -> None:
    job = vendor_job(tmp_path / "job", "metax", "eager", precision=precision)
    outcome = run(job, "infer", python)
    assert_right(outcome)
    report = outcome.ok
    assert report.simulated
    assert report.effective["arithmetic"] == precision
    assert report.effective["parameter_dtypes"] == [dtype]
    assert report.effective["matmul_allow_tf32"] is tf32
    assert report.effective["device"] == "MetaX C500"
    assert report.effective["maca"] == report.versions["maca"] == "2.19.2.5"
    assert core(outcome).in_flight == 2


def test_another_vendors_gpu_is_not_booked_on_metax(tmp_path: Path) -> None:
    job = vendor_job(tmp_path / "job", "metax", "eager")
    message = run(job, "compile", standin_python("nvidia")).failed("image")
    assert "was not built for MACA; its device is NVIDIA A100-SXM4-40GB" in message


def test_macart_infers_on_the_provider_that_it_reads_back(tmp_path: Path, python: Path) -> None:
    outcome = run(vendor_job(tmp_path / "job", "metax", "macart"), "infer", python)
    assert_right(outcome)
    report = outcome.ok
    assert report.simulated
    assert report.core_agreement == 1.0
    assert report.effective["providers"][0] == "MACAExecutionProvider"
    assert report.effective["node_providers"] == {"MACAExecutionProvider": 3}
    assert report.effective["profiling"] is False
    assert report.warnings == ()
    assert report.effective["arithmetic"] == "fp32"
    assert report.effective["input_dtypes"] == {"input": "tensor(float)"}
    assert "onnxruntime" in report.versions


def test_eager_validates_macart_and_gives_the_same(tmp_path: Path, python: Path) -> None:
    job = vendor_job(
        tmp_path / "job", "metax", "macart", validate_engine="eager", validate_precision="fp32"
    )
    ours = run(job, "infer", python).npz("raw.npz")["logits"]
    validated = run(job, "validate", python)
    assert_right(validated)
    assert validated.ok.details["engine"] == "eager"
    # The case's module pushes three classes down by a bias; its graph has the first three alone.
    np.testing.assert_allclose(ours[:, :3], validated.npz("raw.npz")["logits"][:, :3], atol=1e-5)


def test_an_onnx_runtime_without_maca_is_the_images_failure(tmp_path: Path) -> None:
    python, reason = cpu_stack()
    if python is None:
        pytest.skip(reason)
    message = run(vendor_job(tmp_path / "job", "metax", "macart"), "compile", python).failed(
        "image"
    )
    assert "has no MACAExecutionProvider; it has" in message
    assert "CPUExecutionProvider" in message


def test_a_provider_that_leaves_its_work_to_the_host_is_refused(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "metax", "macart")
    message = run(job, "infer", python, ODD_MACA="fallback").failed("host")
    assert "fell back to CPUExecutionProvider" in message


def test_a_provider_that_is_listed_and_gets_no_node_is_refused(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "metax", "macart")
    message = run(job, "infer", python, ODD_MACA="host:*").failed("compile")
    assert "none of the graph's 3 nodes ran on MACAExecutionProvider" in message


def test_nodes_that_run_on_the_host_are_said_and_counted_once(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "metax", "macart")
    said = "1 of the graph's 3 nodes ran on CPUExecutionProvider (MatMul)"
    assert said in warned(run(job, "compile", python, ODD_MACA="host:MatMul"), "effective_differs")
    # Nothing is left to the host any more: what it says is what compile found.
    outcome = run(job, "infer", python)
    assert said in warned(outcome, "effective_differs")
    assert outcome.ok.effective["node_providers"] == {
        "CPUExecutionProvider": 1,
        "MACAExecutionProvider": 2,
    }


def test_full_memory_is_told_as_such(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "metax", "macart")
    message = run(job, "infer", python, ASSAY_STANDIN_FAULT="load:oom").failed("out_of_memory")
    assert "mcErrorMemoryAllocation" in message
