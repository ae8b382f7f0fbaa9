"""IxRT's engine on the stand-in: precisions, caches, and whose module `tensorrt` it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.job_folder import CLASSES, SIDE
from tests.vendor_hooks.cpu import tiny_onnx as wire
from tests.vendor_hooks.standin import standin_python
from tests.vendor_hooks.vendor_job import assert_right, core, vendor_job, warned
from tests.vendor_hooks.vendor_job import run_as_driven as run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack


@pytest.fixture
def python() -> Path:
    return standin_python("iluvatar")


@pytest.mark.parametrize(
    ("precision", "flags"), [("fp32", []), ("fp16", ["FP16"]), ("bf16", ["BF16"])]
)
def test_a_precision_is_a_flag_that_the_builder_keeps(
    tmp_path: Path, python: Path, precision: str, flags: list[str]
) -> None:
    job = vendor_job(tmp_path / "job", "iluvatar", "ixrt", precision=precision)
    outcome = run(job, "infer", python)
    assert_right(outcome)
    report = outcome.ok
    assert report.simulated
    assert report.effective["flags"] == flags
    assert report.effective["arithmetic"] == precision
    assert report.effective["arithmetic_unread"]
    assert report.effective["device"] == "Iluvatar MR-V100"
    assert report.versions["ixrt"].startswith("1.1")
    assert core(outcome).in_flight == 2


def test_inputs_and_outputs_of_an_engine_may_be_bfloat16(tmp_path: Path, python: Path) -> None:
    """numpy has no such type: they pass as their bits, as in TensorRT, whose code this is."""
    job = vendor_job(
        tmp_path / "job",
        "iluvatar",
        "ixrt",
        precision="bf16",
        inputs=[{"name": "input", "shape": [3, SIDE, SIDE], "dtype": "bfloat16"}],
        outputs=[{"name": "logits", "shape": [CLASSES], "dtype": "bfloat16"}],
    )
    (job.folder / "model" / "model.onnx").write_bytes(
        wire.short_graph(wire.colour_weights(CLASSES), SIDE)
    )
    outcome = run(job, "infer", python)
    assert_right(outcome)
    assert outcome.ok.effective["io_dtypes"] == {"input": "bfloat16", "logits": "bfloat16"}
    logits = outcome.npz("raw.npz")["logits"]
    assert logits.dtype == np.float32
    assert not (logits.view(np.uint32) & 0xFFFF).any(), "they are not rounded to bfloat16"


def test_nvidias_tensorrt_is_not_booked_on_iluvatar(tmp_path: Path) -> None:
    job = vendor_job(tmp_path / "job", "iluvatar", "ixrt")
    message = run(job, "compile", standin_python("nvidia", tensorrt="8.6.1")).failed("image")
    assert "the module tensorrt 8.6.1 is not IxRT's" in message


def test_nvidias_pytorch_is_not_booked_on_iluvatar(tmp_path: Path) -> None:
    job = vendor_job(tmp_path / "job", "iluvatar", "eager")
    message = run(job, "compile", standin_python("nvidia", tensorrt="8.6.1")).failed("image")
    assert "was not built for CoreX" in message


def test_an_engine_of_another_chip_is_built_again_and_said_so(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "iluvatar", "ixrt")
    assert run(job, "compile", standin_python("iluvatar", chip="MR-V50")).ok
    outcome = run(job, "infer", python)
    assert "device was Iluvatar MR-V50, now Iluvatar MR-V100" in warned(outcome, "recompiled")
    assert_right(outcome)


def test_a_damaged_engine_is_built_again_and_said_so(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "iluvatar", "ixrt")
    assert run(job, "compile", python).ok
    (job.folder / "cache" / "engine.ixrt").write_bytes(b"cut short")
    outcome = run(job, "infer", python)
    assert "it was compiled again" in warned(outcome, "recompiled")
    assert_right(outcome)


def test_a_builders_warning_is_the_results(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "iluvatar", "ixrt")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:warn")
    assert "IxRT's builder warned" in warned(outcome, "compiler_warning")


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("compile:fail", "compile", "Could not find any implementation for node MatMul_1"),
        ("compile:oom", "out_of_memory", "OutOfMemory"),
    ],
)
def test_a_build_that_gives_nothing_says_why(
    tmp_path: Path, python: Path, fault: str, kind: str, said: str
) -> None:
    job = vendor_job(tmp_path / "job", "iluvatar", "ixrt")
    assert said in run(job, "compile", python, ASSAY_STANDIN_FAULT=fault).failed(kind)


def test_eager_validates_ixrt_and_gives_the_same(tmp_path: Path, python: Path) -> None:
    asked: dict[str, Any] = {"validate_engine": "eager", "validate_precision": "fp32"}
    job = vendor_job(tmp_path / "job", "iluvatar", "ixrt", precision="fp32", **asked)
    ours = run(job, "infer", python).npz("raw.npz")["logits"]
    validated = run(job, "validate", python)
    assert_right(validated)
    assert validated.ok.details["engine"] == "eager"
    # The case's module pushes three classes down by a bias; its graph has the first three alone.
    np.testing.assert_allclose(ours[:, :3], validated.npz("raw.npz")["logits"][:, :3], atol=1e-5)
