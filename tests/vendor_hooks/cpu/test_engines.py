"""ONNX Runtime and eager PyTorch through the harness, on a graph that is known to the last weight."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.interpreters import cpu_stack
from tests.harness.job_folder import CLASSES, ROOT, SIDE, JobFolder, colours, write_files
from tests.vendor_hooks.cpu.tiny_onnx import colour_graph, colour_weights
from tests.vendor_hooks.vendor_job import run, vendor_job, warned

if TYPE_CHECKING:
    from tests.harness.job_folder import Outcome

pytestmark = pytest.mark.stack

CASE = Path(__file__).parent / "case"
HOOK = ROOT / "vendor_hooks" / "cpu"


@pytest.fixture
def python() -> Path:
    found, reason = cpu_stack()
    if found is None:
        pytest.skip(reason)
    return found


def make_job(folder: Path, engine: str, precision: str = "fp32", **changes: Any) -> JobFolder:
    job = JobFolder(folder, hook=HOOK, case=CASE, engine=engine, **changes).with_pictures(10)
    job.document["job"] |= {"precision": precision, "vendor": "cpu"}
    weights = colour_weights(CLASSES)
    (job.folder / "model" / "model.onnx").write_bytes(colour_graph(weights, SIDE))
    (job.folder / "weights").mkdir()
    np.save(job.folder / "weights" / "weights.npy", weights)
    return job


def expected() -> np.ndarray[Any, Any]:
    return colours(10)[1]


def predicted(outcome: Outcome) -> np.ndarray[Any, Any]:
    return outcome.npz("predictions.npz")["classes"][:, 0]


def test_onnx_runtime_computes_a_quantized_graph_in_whole_numbers(
    tmp_path: Path, python: Path
) -> None:
    outcome = run(
        vendor_job(tmp_path / "job", "cpu", "onnxruntime", precision="int8"), "infer", python
    )
    np.testing.assert_array_equal(predicted(outcome), expected())
    effective = outcome.ok.effective
    assert (effective["precision"], effective["arithmetic"]) == ("int8", "int8")
    # Read from the kernels that a profiled call ran.
    assert effective["layer_arithmetic"] == {"int8": 1}
    assert outcome.ok.warnings == ()


def test_quantizers_that_are_not_there_are_found(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "cpu", "onnxruntime", precision="int8")
    model = job.folder / "model"
    (model / "model.int8.onnx").write_bytes((model / "model.onnx").read_bytes())
    outcome = run(job, "infer", python)
    assert outcome.ok.effective["arithmetic"] == "fp32"
    assert "int8 was requested, but" in warned(outcome, "effective_differs")


def test_onnx_runtime_infers_and_says_what_it_ran_on(tmp_path: Path, python: Path) -> None:
    outcome = make_job(tmp_path / "job", "onnxruntime", threads=1).run(python=python)
    report = outcome.ok
    np.testing.assert_array_equal(predicted(outcome), expected())
    assert report.effective["provider"] == "CPUExecutionProvider"
    assert report.effective["threads"] == 1
    assert report.effective["input_dtypes"] == {"input": "tensor(float)"}
    assert "onnxruntime" in report.versions
    assert report.core_agreement == 1.0
    assert report.memory is not None
    assert report.memory.peak_bytes is not None
    assert 0 < report.memory.peak_bytes < (report.memory.total_bytes or 0)


def test_onnx_runtime_compile_proves_that_the_graph_loads(tmp_path: Path, python: Path) -> None:
    report = make_job(tmp_path / "job", "onnxruntime").run("compile", python=python).ok
    assert report.effective["provider"] == "CPUExecutionProvider"


def test_eager_validates_onnx_runtime(tmp_path: Path, python: Path) -> None:
    job = make_job(
        tmp_path / "job", "onnxruntime", validate_engine="eager", validate_precision="fp32"
    )
    outcome = job.run("validate", python=python)
    np.testing.assert_array_equal(predicted(outcome), expected())
    assert outcome.ok.details["engine"] == "eager"
    assert outcome.ok.effective["parameter_dtypes"] == ["float32"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_eager_runs_at_the_precision_that_was_asked_for(
    tmp_path: Path, python: Path, precision: str
) -> None:
    job = make_job(tmp_path / "job", "eager", precision, threads=1)
    outcome = job.run(python=python)
    report = outcome.ok
    np.testing.assert_array_equal(predicted(outcome), expected())
    assert report.effective["arithmetic"] == precision
    assert report.effective["threads"] == 1
    raw = outcome.npz("raw.npz")["logits"]
    assert raw.dtype == np.float32
    in_bf16 = (raw.view(np.uint32) & 0xFFFF == 0).all()
    assert in_bf16 == (precision == "bf16")


def test_both_engines_give_the_same_raw_outputs(tmp_path: Path, python: Path) -> None:
    outcomes = [
        make_job(tmp_path / engine, engine).run(python=python)
        for engine in ("onnxruntime", "eager")
    ]
    raw = [outcome.npz("raw.npz")["logits"] for outcome in outcomes]
    assert raw[0].shape == (6, CLASSES)
    np.testing.assert_allclose(raw[0], raw[1], atol=1e-5)


LANGUAGE_MODEL = ROOT / "cases" / "llama_pydoc"
PROMPT, TOKENS = 12, 4


def language_job(folder: Path, engine: str) -> JobFolder:
    """Return a job of the small language model that was trained here, on the beginning of its text."""
    manifest = tomllib.loads((LANGUAGE_MODEL / "case.toml").read_text(encoding="utf-8"))
    job = JobFolder(
        folder,
        hook=HOOK,
        case=LANGUAGE_MODEL,
        engine=engine,
        batch_size=2,
        task="text-generation",
        generation={**manifest["generation"], "prompt": PROMPT, "tokens": TOKENS},
        weights_format="huggingface",
        threads=1,
        **{name: manifest["model"][name] for name in ("inputs", "outputs")},
    )
    job.document["job"]["vendor"] = "cpu"
    (folder / "weights").symlink_to(LANGUAGE_MODEL / "weights")
    text = np.frombuffer((LANGUAGE_MODEL / "data" / "test.txt").read_bytes()[:80], np.uint8)
    write_files(job.data, [row.tobytes() for row in text.astype("<i4").reshape(5, PROMPT + TOKENS)])
    return job


@pytest.mark.slow
def test_inductor_generates_as_eager_does(tmp_path: Path, python: Path) -> None:
    outcomes = [
        language_job(tmp_path / engine, engine).run(python=python)
        for engine in ("eager", "inductor")
    ]
    assert [outcome.ok.core_agreement for outcome in outcomes] == [1.0, 1.0]
    raw = [outcome.npz("raw.npz")["logits"] for outcome in outcomes]
    np.testing.assert_allclose(raw[0], raw[1], atol=1e-3)
    assert outcomes[1].ok.effective["backend"] == "inductor"
