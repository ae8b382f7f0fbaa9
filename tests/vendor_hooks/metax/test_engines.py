"""MetaX's engines on the stand-ins: PyTorch on MACA, and MacaRT's provider read back."""

from __future__ import annotations

import importlib
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.harness.interpreters import cpu_stack
from tests.harness.job_folder import ROOT
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


def test_eager_runs_half_precision_on_maca_3(tmp_path: Path) -> None:
    job = vendor_job(tmp_path / "job", "metax", "eager", stack="maca3.8", precision="fp16")
    outcome = run(job, "infer", standin_python("metax", maca="3.8.1.2"))
    assert_right(outcome)
    report = outcome.ok
    assert (report.effective["maca"], report.effective["arithmetic"]) == ("3.8.1.2", "fp16")
    assert report.versions["torch"].endswith("+metax3.8.1.2")


@pytest.mark.parametrize(
    ("version", "attribute", "maca"),
    [
        ("2.10.0+metax3.8.1.0", "3.8.1.0", "3.8.1.0"),
        ("2.10.0+metax3.8.1.0", None, "3.8.1.0"),
        ("2.0.0+mc2.19.2.5", None, "2.19.2.5"),
        ("2.13.0+cu130", None, None),
    ],
)
def test_macas_version_is_an_attribute_of_pytorch_or_in_its_version(
    monkeypatch: pytest.MonkeyPatch, version: str, attribute: str | None, maca: str | None
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "vendor_hooks"))
    eager = importlib.import_module("vendor_hooks.metax.engines.eager")
    torch = SimpleNamespace(__version__=version, version=SimpleNamespace(maca=attribute))
    assert eager.maca_version(torch) == maca


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
    assert report.effective["provider"] == "MACAExecutionProvider"
    assert report.effective["provider_options"] == {"device_id": "0"}
    assert report.effective["nodes"] == {"MACAExecutionProvider": 3}
    assert report.warnings == ()
    assert "MACAExecutionProvider" in report.effective["arithmetic_unread"]
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
    assert "did not load MACAExecutionProvider" in message


def test_a_provider_that_is_listed_and_gets_no_node_is_refused(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "metax", "macart")
    message = run(job, "infer", python, ODD_MACA="host:*").failed("compile")
    assert "MACAExecutionProvider took 0 of 3 nodes" in message


def test_nodes_that_run_on_the_host_are_counted_and_an_error_from_standard_on(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "smoke", "metax", "macart")
    job.document["job"]["tier"] = "smoke"
    outcome = run(job, "infer", python, ODD_MACA="host:MatMul")
    said = "took 2 of 3 nodes; ONNX Runtime gave the CPU 1 MatMul"
    assert said in warned(outcome, "effective_differs")
    assert outcome.ok.effective["cpu_operators"] == {"MatMul": 1}
    job = vendor_job(tmp_path / "standard", "metax", "macart")
    job.document["job"]["tier"] = "standard"
    assert said in run(job, "compile", python, ODD_MACA="host:MatMul").failed("compile")


def test_full_memory_is_told_as_such(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "metax", "macart")
    message = run(job, "infer", python, ASSAY_STANDIN_FAULT="load:oom").failed("out_of_memory")
    assert "mcErrorMemoryAllocation" in message
