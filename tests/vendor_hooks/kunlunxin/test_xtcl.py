"""XTCL on the stand-in: both executors, each precision's environment, the cache, and what goes wrong."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.harness.interpreters import cpu_stack
from tests.vendor_hooks.standin import SITE, standin_python, with_reference_stack
from tests.vendor_hooks.vendor_job import assert_right, core, manifest, vendor_job, warned
from tests.vendor_hooks.vendor_job import run_as_driven as stage

pytestmark = pytest.mark.stack

ENGINES = ["xtcl", "xtcl-graph"]
PROBES = Path(__file__).parent / "probes"


@pytest.fixture
def python() -> Path:
    """Return the stand-in's Python; package onnx, which the stack pins, is the reference stack's."""
    found = with_reference_stack(standin_python("kunlunxin"))
    (_site(found) / "odd.pth").write_text(f"{PROBES}\nimport odd_xtcl\n", encoding="utf-8")
    return found


@cache
def _site(python: Path) -> Path:
    done = subprocess.run([str(python), "-c", SITE], check=True, capture_output=True, text=True)
    return Path(json.loads(done.stdout))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("precision", "arithmetic", "switches"),
    [
        ("fp32", "fp32", {"XTCL_USE_FP16": "0", "XTCL_QUANTIZE_WEIGHT": "0"}),
        (
            "fp16", "fp16",
            {"XTCL_USE_NEW_ALTER_PASS": "1", "XTCL_USE_FP16": "1", "XTCL_QUANTIZE_WEIGHT": "1"},
        ),
        (
            "w32a16", "fp16",
            {"XTCL_USE_NEW_ALTER_PASS": "1", "XTCL_USE_FP16": "1", "XTCL_QUANTIZE_WEIGHT": "1"},
        ),
    ],
)  # fmt: skip
def test_each_precision_is_its_environment_read_back(
    tmp_path: Path,
    python: Path,
    engine: str,
    precision: str,
    arithmetic: str,
    switches: dict[str, str],
) -> None:
    job = vendor_job(tmp_path / "job", "kunlunxin", engine, precision=precision)
    outcome = stage(job, "infer", python)
    assert_right(outcome)
    report = outcome.ok
    assert report.simulated
    assert report.core_agreement == 1.0
    assert report.effective["arithmetic"] == arithmetic
    assert switches.items() <= report.effective["environment"].items()
    assert report.effective["environment"]["XPUSIM_DEVICE_MODEL"] == "KUNLUN2"
    assert report.effective["environment"]["XTCL_L3_SIZE"] == "67104768"
    assert report.versions["xtcl"] == "0.8.dev0+xtcl2.0.0.67"


def test_fp16_lowers_what_comes_out_of_each_layer_and_w32a16_does_not(
    tmp_path: Path, python: Path
) -> None:
    found = {
        precision: stage(
            vendor_job(tmp_path / precision, "kunlunxin", "xtcl", precision=precision),
            "compile",
            python,
        ).ok.effective["out_dtype"]
        for precision in ("fp32", "fp16", "w32a16")
    }
    assert found == {"fp32": "float32", "fp16": "float16", "w32a16": "float32"}


@pytest.mark.parametrize("engine", ENGINES)
def test_one_buffer_on_the_device_takes_every_batch_of_an_input(
    tmp_path: Path, python: Path, engine: str
) -> None:
    job = vendor_job(tmp_path / "job", "kunlunxin", engine)
    outcome = stage(job, "infer", python, ODD_XTCL="no-second-copy")
    assert_right(outcome)


def test_both_executors_compile_for_the_chip_and_give_the_same(
    tmp_path: Path, python: Path
) -> None:
    outcomes = {
        engine: stage(
            vendor_job(tmp_path / engine, "kunlunxin", engine, precision="fp32"), "infer", python
        )
        for engine in ENGINES
    }
    targets = [outcome.ok.effective["target"] for outcome in outcomes.values()]
    assert targets == [
        "llvm -acc=xpu2",
        "xpu -libs=xdnn -split-device-funcs -device-type=xpu2",
    ]
    raw = [outcome.npz("raw.npz")["logits"] for outcome in outcomes.values()]
    np.testing.assert_allclose(raw[0], raw[1], atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_patterns_of_sam_are_imported_before_they_are_asked_for(
    tmp_path: Path, python: Path, engine: str
) -> None:
    options = manifest("kunlunxin").engines[engine].options
    job = vendor_job(
        tmp_path / "job",
        "kunlunxin",
        engine,
        engine_options={**options, "cases": {"colours": options["cases"]["sam_h"]}},
    )
    outcome = stage(job, "infer", python)
    assert_right(outcome)
    assert outcome.ok.effective["pattern_match"] == ["fuse_attention_sam"]
    assert outcome.ok.effective["pattern_module"] == "tvm.relay.xpu.patterns"


def test_copies_are_inside_core_and_told_apart(tmp_path: Path, python: Path) -> None:
    measured = core(stage(vendor_job(tmp_path / "job", "kunlunxin", "xtcl"), "infer", python))
    phases = [measured.h2d_ns, measured.compute_ns, measured.d2h_ns]
    assert all(phase is not None and phase > 0 for phase in phases)
    assert sum(phase or 0 for phase in phases) <= measured.wall_ns
    assert measured.in_flight == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_what_compile_made_is_found_again(tmp_path: Path, python: Path, engine: str) -> None:
    job = vendor_job(tmp_path / "job", "kunlunxin", engine)
    first = stage(job, "compile", python).ok
    assert "cache/program.json" in {artifact.path for artifact in first.artifacts}
    assert stage(job, "compile", python).ok.cached
    # It cannot compile any more: what it infers with is what it found.
    outcome = stage(job, "infer", python, ASSAY_STANDIN_FAULT="compile:fail")
    assert_right(outcome)
    assert outcome.ok.warnings == ()


def test_a_program_of_another_setting_is_compiled_again_and_said_so(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "kunlunxin", "xtcl")
    assert stage(job, "compile", python, XTCL_L3_SIZE="1048576").ok
    outcome = stage(job, "infer", python)
    assert "XTCL_L3_SIZE was 1048576, now 67104768" in warned(outcome, "recompiled")
    assert_right(outcome)


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        ("xtcl", "code.bin"),
        ("xtcl", "library.so"),
        ("xtcl-graph", "library.so"),
        ("xtcl-graph", "params.npz"),
    ],
)
def test_a_damaged_program_is_compiled_again_and_said_so(
    tmp_path: Path, python: Path, engine: str, name: str
) -> None:
    job = vendor_job(tmp_path / "job", "kunlunxin", engine)
    assert stage(job, "compile", python).ok
    (job.folder / "cache" / "program" / name).write_bytes(b"cut short")
    outcome = stage(job, "infer", python)
    assert "could not be loaded" in warned(outcome, "recompiled")
    assert_right(outcome)


@pytest.mark.parametrize(
    ("precision", "missing"),
    [
        ("fp16", "XTCL_USE_NEW_ALTER_PASS"),
        ("fp16", "XTCL_USE_FP16"),
        ("fp16", "XTCL_QUANTIZE_WEIGHT"),
        ("w32a16", "XTCL_USE_FP16"),
        ("w32a16", "XTCL_QUANTIZE_WEIGHT"),
    ],
)
def test_without_its_environment_a_precision_is_refused_and_not_quietly_another(
    tmp_path: Path, python: Path, precision: str, missing: str
) -> None:
    job = vendor_job(tmp_path / "job", "kunlunxin", "xtcl", precision=precision)
    message = stage(job, "compile", python, **{missing: "0"}).failed("contract")
    assert f"{precision} means fp16 arithmetic" in message
    assert f"{missing}=0" in message


def test_a_graph_that_xtcl_refuses_is_a_compile_failure_with_its_reason(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "kunlunxin", "xtcl")
    outcome = stage(job, "compile", python, ASSAY_STANDIN_FAULT="compile:fail")
    assert "nn.layer_norm has no XPU implementation" in outcome.failed("compile")


@pytest.mark.parametrize(("name", "fault"), [("compile", "compile:oom"), ("infer", "load:oom")])
def test_full_memory_is_told_as_such(tmp_path: Path, python: Path, name: str, fault: str) -> None:
    job = vendor_job(tmp_path / "job", "kunlunxin", "xtcl")
    message = stage(job, name, python, ASSAY_STANDIN_FAULT=fault).failed("out_of_memory")
    assert "xpu_malloc failed" in message


def test_an_image_without_xtcl_is_named(tmp_path: Path) -> None:
    python, reason = cpu_stack()
    if python is None:
        pytest.skip(reason)
    job = vendor_job(tmp_path / "job", "kunlunxin", "xtcl")
    assert "tvm" in stage(job, "compile", python).failed("image")


def test_where_no_library_can_be_written_the_run_goes_on_and_says_so(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "kunlunxin", "xtcl")
    compiled = stage(job, "compile", python, ODD_XTCL="no-compiler")
    assert "g++: not found" in warned(compiled, "compiler_warning")
    outcome = stage(job, "infer", python, ODD_XTCL="no-compiler")
    assert "infer compiles it again" in warned(outcome, "compiler_warning")
    assert_right(outcome)


@pytest.mark.parametrize("name", ["compile", "infer"])
def test_no_device_is_the_hosts_failure(tmp_path: Path, python: Path, name: str) -> None:
    job = vendor_job(tmp_path / "job", "kunlunxin", "xtcl")
    assert "finds no XPU" in stage(job, name, python, ODD_XTCL="no-device").failed("host")
