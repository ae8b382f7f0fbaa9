"""TensorRT's engine on the stand-in: settings, caches, copies, and what goes wrong in a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.harness.job_folder import CLASSES, SIDE
from tests.vendor_hooks.cpu import tiny_onnx as wire
from tests.vendor_hooks.standin import standin_python, with_reference_stack
from tests.vendor_hooks.vendor_job import assert_right, core, run, vendor_job, warned

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack


@pytest.fixture
def python() -> Path:
    return standin_python("nvidia", tensorrt="8.6.1")


@pytest.mark.parametrize(
    ("precision", "flags"),
    [("fp32", []), ("tf32", ["TF32"]), ("fp16", ["FP16", "TF32"])],
)
def test_each_precision_is_what_the_builder_was_told(
    tmp_path: Path, python: Path, precision: str, flags: list[str]
) -> None:
    outcome = run(
        vendor_job(tmp_path / "job", "nvidia", "tensorrt", precision=precision), "infer", python
    )
    assert_right(outcome)
    report = outcome.ok
    assert report.simulated
    assert report.effective["flags"] == flags
    assert report.effective["arithmetic"] == precision
    assert report.core_agreement == 1.0


@pytest.mark.parametrize(
    ("release", "precision"),
    [("8.5.1", "fp16"), ("10.3.0", "fp16"), ("10.16.1", "fp16"), ("10.16.1", "bf16")],
)
def test_until_10_a_precision_is_a_flag(tmp_path: Path, release: str, precision: str) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt", precision=precision)
    outcome = run(job, "infer", standin_python("nvidia", tensorrt=release))
    assert_right(outcome)
    effective = outcome.ok.effective
    assert (effective["typing"], effective["flags"]) == ("weak", [precision.upper(), "TF32"])
    assert effective["arithmetic"] == precision
    assert effective["layer_arithmetic"] == {precision: 1}
    # Inputs and outputs of a weakly typed network stay as the graph has them.
    assert effective["io_dtypes"] == {"input": "float32", "logits": "float32"}
    assert outcome.ok.warnings == ()


@pytest.mark.parametrize(
    ("precision", "release", "chip", "flags"),
    [
        ("int8", "8.6.1", "T4", ["INT8", "TF32"]),
        ("int8", "11.1.0", "T4", ["TF32"]),
        ("fp8", "10.16.1", "H100", ["FP8", "TF32"]),
        ("fp8", "11.1.0", "L4", ["TF32"]),
    ],
)
def test_eight_bits_are_in_the_graph_and_until_10_in_a_flag(
    tmp_path: Path, precision: str, release: str, chip: str, flags: list[str]
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt", precision=precision, chip=chip)
    outcome = run(job, "infer", standin_python("nvidia", tensorrt=release, chip=chip))
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["flags"] == flags
    assert (effective["arithmetic"], effective["layer_arithmetic"]) == (precision, {precision: 1})
    # What is dequantized is fp32: the network's types say nothing of what runs.
    assert "network_arithmetic" not in effective
    assert outcome.ok.warnings == ()


@pytest.mark.parametrize(("precision", "since"), [("bf16", 9), ("fp8", 10)])
def test_a_release_without_a_precision_is_refused(
    tmp_path: Path, python: Path, precision: str, since: int
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt", precision=precision)
    message = run(job, "compile", python).failed("image")
    assert f"TensorRT 8.6.1 has no {precision}, which came with release {since}" in message


@pytest.mark.parametrize(
    ("precision", "chip", "message"),
    [
        ("bf16", {"chip": "T4"}, "Tesla T4 has compute capability 7.5, and bf16 needs 8.0"),
        ("fp8", {}, "A100-SXM4-40GB has compute capability 8.0, and fp8 needs 8.9 (Ada) or newer"),
    ],
)
def test_a_chip_without_a_precision_is_refused(
    tmp_path: Path, precision: str, chip: dict[str, str], message: str
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt", precision=precision)
    outcome = run(job, "compile", standin_python("nvidia", tensorrt="10.16.1", **chip))
    assert message in outcome.failed("host")


def test_a_graph_without_quantizers_is_not_fp8(tmp_path: Path) -> None:
    """The flag permits fp8; the graph is what says where."""
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt", precision="fp8", chip="H100")
    model = job.folder / "model"
    (model / "model.fp8.onnx").write_bytes((model / "model.onnx").read_bytes())
    outcome = run(job, "infer", standin_python("nvidia", tensorrt="10.16.1", chip="H100"))
    assert outcome.ok.effective["arithmetic"] == "tf32"
    assert "fp8 was requested" in warned(outcome, "effective_differs")


def test_a_builder_that_ignores_bf16_is_recorded_as_what_it_built(tmp_path: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt", precision="bf16")
    python = standin_python("nvidia", tensorrt="10.16.1")
    outcome = run(job, "infer", python, ASSAY_STANDIN_FAULT="compile:ignore")
    assert outcome.ok.effective["arithmetic"] == "tf32"
    assert "bf16 was requested" in warned(outcome, "effective_differs")


@pytest.fixture
def strong() -> Path:
    """TensorRT 11, whose networks are strongly typed, with what casts a graph."""
    return with_reference_stack(standin_python("nvidia", tensorrt="11.1.0"))


@pytest.mark.parametrize(
    ("precision", "flags", "network"),
    [
        ("fp32", [], "fp32"),
        ("tf32", ["TF32"], "fp32"),
        ("fp16", ["TF32"], "fp16"),
        ("bf16", ["TF32"], "bf16"),
    ],
)
def test_since_11_a_precision_is_in_the_graph(
    tmp_path: Path, strong: Path, precision: str, flags: list[str], network: str
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt", precision=precision)
    outcome = run(job, "infer", strong)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert (effective["typing"], effective["flags"]) == ("strong", flags)
    assert effective["network_arithmetic"] == {network: 1}
    assert effective["arithmetic"] == precision
    # Inputs and outputs stay as they are.
    assert effective["io_dtypes"] == {"input": "float32", "logits": "float32"}
    assert list((job.folder / "cache").glob("cast*")) == [], "the cast graph is gone"
    assert outcome.ok.warnings == ()


def test_inputs_and_outputs_of_an_engine_may_be_bfloat16(tmp_path: Path, strong: Path) -> None:
    """TensorRT's nptype has no numpy type for it: they pass as their bits."""
    job = vendor_job(
        tmp_path / "job",
        "nvidia",
        "tensorrt",
        precision="bf16",
        inputs=[{"name": "input", "shape": [3, SIDE, SIDE], "dtype": "bfloat16"}],
        outputs=[{"name": "logits", "shape": [CLASSES], "dtype": "bfloat16"}],
    )
    (job.folder / "model" / "model.onnx").write_bytes(
        wire.short_graph(wire.colour_weights(CLASSES), SIDE)
    )
    outcome = run(job, "infer", strong)
    assert_right(outcome)
    assert outcome.ok.effective["io_dtypes"] == {"input": "bfloat16", "logits": "bfloat16"}
    logits = outcome.npz("raw.npz")["logits"]
    assert logits.dtype == np.float32
    assert not (logits.view(np.uint32) & 0xFFFF).any(), "they are not rounded to bfloat16"


def test_an_engine_of_another_cast_is_built_again(tmp_path: Path, strong: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    assert run(job, "compile", strong).ok
    record = job.folder / "cache" / "engine.plan.json"
    text = record.read_text(encoding="utf-8")
    assert '"cast": "onnxruntime ' in text
    record.write_text(text.replace('"cast": "onnxruntime ', '"cast": "onnxruntime 1.'), "utf-8")
    assert "cast was onnxruntime 1." in warned(run(job, "infer", strong), "recompiled")


def test_an_image_without_what_casts_a_graph_is_named(tmp_path: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    message = run(job, "compile", standin_python("nvidia", tensorrt="11.2.0")).failed("image")
    assert "No module named 'onnx'" in message


def test_a_builder_that_ignores_fp16_is_recorded_as_what_it_built(
    tmp_path: Path, python: Path
) -> None:
    """The flag permits fp16; it was recorded as the arithmetic of the engine."""
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    outcome = run(job, "infer", python, ASSAY_STANDIN_FAULT="compile:ignore")
    assert outcome.ok.effective["arithmetic"] == "tf32"
    assert "fp16 was requested" in warned(outcome, "effective_differs")


@pytest.mark.parametrize(("release", "why"), [("8.4.3", "older"), ("12.0.1", "newer")])
def test_a_release_that_the_hook_does_not_know_ends_the_run(
    tmp_path: Path, release: str, why: str
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    message = run(job, "compile", standin_python("nvidia", tensorrt=release)).failed("image")
    assert f"TensorRT {release} is {why} than this hook knows, which is 8.5 to 11" in message


def test_copies_are_inside_core_and_told_apart(tmp_path: Path, python: Path) -> None:
    outcome = run(vendor_job(tmp_path / "job", "nvidia", "tensorrt"), "infer", python)
    measured = core(outcome)
    assert measured.in_flight == 2
    assert measured.clock == "harness"
    phases = (measured.h2d_ns, measured.compute_ns, measured.d2h_ns)
    assert all(phase is not None and phase > 0 for phase in phases)
    assert sum(phase or 0 for phase in phases) < 1.05 * measured.wall_ns


def test_what_compile_made_is_found_again(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    first = run(job, "compile", python).ok
    made = {artifact.path for artifact in first.artifacts}
    assert {"cache/engine.plan", "cache/engine.plan.json", "cache/timing.cache"} <= made
    second = run(job, "compile", python).ok
    assert (first.cached, second.cached) == (False, True)
    assert run(job, "infer", python).ok.warnings == ()


@pytest.mark.parametrize(
    ("before", "changed"),
    [
        ({"tensorrt": "8.5.1"}, "tensorrt was 8.5.1, now 8.6.1"),
        ({"tensorrt": "8.6.1", "chip": "T4"}, "device was Tesla T4, now NVIDIA A100-SXM4-40GB"),
    ],
)
def test_an_engine_of_another_version_or_chip_is_built_again_and_said_so(
    tmp_path: Path, python: Path, before: dict[str, str], changed: str
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    assert run(job, "compile", standin_python("nvidia", **before)).ok
    timings = job.folder / "cache" / "timing.cache"
    found = timings.read_bytes().splitlines()
    outcome = run(job, "infer", python)
    assert changed in warned(outcome, "recompiled")
    assert_right(outcome)
    # TensorRT refuses timings of another version or chip: a cache is begun anew.
    title, entry = timings.read_bytes().splitlines()
    assert title.endswith(b"8.6.1 NVIDIA A100-SXM4-40GB")
    assert title != found[0]
    assert entry not in found


def test_a_damaged_engine_is_built_again_and_said_so(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    assert run(job, "compile", python).ok
    (job.folder / "cache" / "engine.plan").write_bytes(b"cut short")
    outcome = run(job, "infer", python)
    assert "Magic tag does not match" in warned(outcome, "recompiled")
    assert_right(outcome)


def test_a_build_that_gives_nothing_is_a_compile_failure_with_the_logs_reason(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    message = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:fail").failed("compile")
    assert "Could not find any implementation for node MatMul_1" in message


def test_a_build_without_memory_is_no_compile_failure(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    message = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:oom").failed("out_of_memory")
    assert "OutOfMemory" in message


def test_a_builders_warning_is_the_results(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:warn")
    assert "insufficient memory" in warned(outcome, "compiler_warning")


def test_memory_that_is_full_at_load_is_told(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    assert run(job, "compile", python).ok
    assert run(job, "infer", python, ASSAY_STANDIN_FAULT="load:oom").failed("out_of_memory")


def test_a_killed_build_leaves_nothing_that_counts(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "tensorrt")
    killed = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:killed")
    assert "was killed by signal 9 (SIGKILL)" in killed.failed("compile")
    again = run(job, "compile", python).ok
    assert not again.cached
