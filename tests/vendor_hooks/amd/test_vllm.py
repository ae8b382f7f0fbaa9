"""vLLM on ROCm, on its stand-in: how devices are selected, what is read back, and what is refused."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.vendor_hooks.language_model import language_job
from tests.vendor_hooks.standin import standin_python
from tests.vendor_hooks.vendor_job import run_as_driven

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.job_folder import JobFolder, Outcome

pytestmark = pytest.mark.stack

ROCM = "amd/rocm7"
START = "import sys, vllm; vllm.LLM(sys.argv[1])"


def make(folder: Path, **changes: Any) -> JobFolder:
    return language_job(folder / "job", ROCM, "vllm", **changes)


def compiled(job: JobFolder, **environment: str) -> Outcome:
    """Start vLLM once, as every stage does."""
    return run_as_driven(job, "compile", standin_python("amd"), **environment)


@pytest.mark.parametrize("selected", ["3", "GPU-b2a1f7c09d5e4e31"])
def test_a_selected_device_is_the_first_that_hip_sees(tmp_path: Path, selected: str) -> None:
    """Ray, within vLLM, refuses ROCR_VISIBLE_DEVICES without HIP's variable, which counts what is left."""
    assert compiled(make(tmp_path), ROCR_VISIBLE_DEVICES=selected).ok.simulated


@pytest.mark.parametrize(
    ("environment", "refusal"),
    [
        ({"ROCR_VISIBLE_DEVICES": "3"}, "use HIP_VISIBLE_DEVICES instead of ROCR_VISIBLE_DEVICES"),
        ({"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "1"}, "Inconsistent GPU visibility"),
        ({"HIP_VISIBLE_DEVICES": "GPU-b2a1f7c09d5e4e31"}, "invalid literal for int()"),
    ],
)
def test_the_stand_in_refuses_the_selections_that_vllm_refuses(
    tmp_path: Path, environment: dict[str, str], refusal: str
) -> None:
    done = subprocess.run(
        [str(standin_python("amd")), "-c", START, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert refusal in done.stderr


def test_aiter_is_off_unless_the_manifest_asks_for_it(tmp_path: Path) -> None:
    report = compiled(make(tmp_path / "off"), VLLM_ROCM_USE_AITER="1").ok
    assert report.effective["aiter"] is False
    assert {"vllm", "torch", "hip"} <= set(report.versions)
    options = {"device_type": "cuda", "torch_build": "hip", "aiter": True}
    assert compiled(make(tmp_path / "on", engine_options=options)).ok.effective["aiter"] is True


def test_nvidias_vllm_is_not_taken_for_amds(tmp_path: Path) -> None:
    """Both vLLMs call their devices cuda; PyTorch says what it was built for."""
    outcome = run_as_driven(make(tmp_path), "compile", standin_python("nvidia"))
    assert "was not built for ROCm" in outcome.failed("image")


def test_memory_that_hip_lacks_is_out_of_memory(tmp_path: Path) -> None:
    outcome = compiled(make(tmp_path), ASSAY_STANDIN_FAULT="load:oom")
    assert "HIP out of memory" in outcome.failed("out_of_memory")
