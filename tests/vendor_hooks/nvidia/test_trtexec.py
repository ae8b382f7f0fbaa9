"""trtexec's engine on the stand-ins of three generations: its clock, and predictions of the same engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.vendor_hooks.standin import standin_python, with_reference_stack
from tests.vendor_hooks.vendor_job import assert_right, core, run, vendor_job, warned

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack


def python_of(release: str) -> Path:
    """Return a Python with a release; 11 casts graphs by packages that are in the reference stack too."""
    python = standin_python("nvidia", tensorrt=release)
    return with_reference_stack(python) if release.startswith("11.") else python


@pytest.mark.parametrize(
    "release", ["7.2.3", "8.2.1", "8.5.1", "8.6.1", "10.3.0", "10.16.1", "11.1.0"]
)
def test_the_core_figure_is_the_tools_own(tmp_path: Path, release: str) -> None:
    python = python_of(release)
    outcome = run(vendor_job(tmp_path / "job", "nvidia", "trtexec"), "infer", python)
    assert_right(outcome)
    measured = core(outcome)
    assert measured.clock == "vendor-tool"
    assert measured.items == 4 * measured.calls
    assert measured.wall_ns > 0.9e9, "it was asked for at least a second"
    assert len(outcome.npy("core.npy")) == measured.calls
    assert measured.compute_ns is not None
    # The stand-in has no two copies at once: phases of more calls than the wall time's would exceed it.
    assert measured.h2d_ns is not None
    assert measured.d2h_ns is not None
    assert measured.h2d_ns > 0, "copies are part of core, which 11 leaves out by default"
    assert 0 < measured.compute_ns + measured.h2d_ns + measured.d2h_ns < 1.001 * measured.wall_ns
    assert outcome.ok.simulated
    # trtexec copies the next batch in while one computes, in every release, unless --exposeDMA.
    assert measured.in_flight == 2
    assert outcome.ok.effective["in_flight"] == 2
    assert list((tmp_path / "job" / "cache").glob("trtexec")) == [], "its files are gone"


def test_11_measures_with_the_options_of_the_releases_before(tmp_path: Path) -> None:
    """By default it leaves out copies, and uses CUDA graphs and spinning."""
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec")
    outcome = run(job, "infer", python_of("11.1.0"))
    options = "--includeDataTransfers --noCudaGraph --noSpinWait"
    assert outcome.ok.effective["loop_options"] == options
    lines = [line for line in outcome.log.splitlines() if line.startswith("$ trtexec --loadEngine")]
    assert all(options in line for line in lines)
    before = vendor_job(tmp_path / "before", "nvidia", "trtexec")
    assert run(before, "infer", python_of("10.16.1")).ok.effective["loop_options"] == ""


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16"])
def test_11_gets_the_precision_with_the_graph(tmp_path: Path, precision: str) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec", precision=precision)
    report = run(job, "compile", python_of("11.1.0")).ok
    command = report.effective["build_command"]
    assert "--fp16" not in command
    assert ("--noTF32" in command) is (precision == "fp32")
    assert ("/cache/cast/model.onnx" in command) is (precision == "fp16")
    assert report.effective["arithmetic"] == precision
    assert report.effective["layer_arithmetic"] == {precision: 1}
    assert report.warnings == ()


def test_a_tool_that_ignores_fp16_is_recorded_as_what_it_built(tmp_path: Path) -> None:
    python = standin_python("nvidia", tensorrt="8.6.1")
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec")
    outcome = run(job, "infer", python, ASSAY_STANDIN_FAULT="compile:ignore")
    assert outcome.ok.effective["arithmetic"] == "tf32"
    assert "fp16 was requested" in warned(outcome, "effective_differs")


@pytest.mark.parametrize("release", ["7.2.3", "8.2.1"])
def test_an_older_tool_states_nothing_of_its_layers(tmp_path: Path, release: str) -> None:
    python = standin_python("nvidia", tensorrt=release)
    report = run(vendor_job(tmp_path / "job", "nvidia", "trtexec"), "compile", python).ok
    assert "nothing is known" in report.effective["arithmetic_unread"]
    assert "Layer" not in report.effective["build_command"]


def test_a_newer_tool_than_the_hook_knows_ends_the_run(tmp_path: Path) -> None:
    python = standin_python("nvidia", tensorrt="12.0.1")
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec")
    message = run(job, "compile", python).failed("image")
    assert "TensorRT 12.0.1 is newer than this hook knows, which is 7 to 11" in message


def test_a_banner_with_a_build_number_selects_the_options_of_its_release(tmp_path: Path) -> None:
    """It was taken for 7.x: --buildOnly, and one run of trtexec per batch."""
    python = standin_python("nvidia", tensorrt="10.13.0")
    report = run(vendor_job(tmp_path / "job", "nvidia", "trtexec"), "compile", python).ok
    assert "--skipInference" in report.effective["build_command"]
    assert report.versions["trtexec"] == "10.13.0"


def test_an_unknown_banner_ends_the_run_and_is_named(tmp_path: Path) -> None:
    python = standin_python("nvidia", tensorrt="8.6.1")
    tool = tmp_path / "first" / "trtexec"
    tool.parent.mkdir()
    tool.write_text(
        "#!/bin/sh\necho '&&&& RUNNING TensorRT.trtexec [next] # x'\n", encoding="utf-8"
    )
    tool.chmod(0o755)
    path = f"{tool.parent}:{python.parent}:/usr/bin:/bin"
    outcome = run(vendor_job(tmp_path / "job", "nvidia", "trtexec"), "compile", python, PATH=path)
    assert "TensorRT.trtexec [next]" in outcome.failed("image")


def test_nothing_else_is_on_the_device_while_it_measures(tmp_path: Path) -> None:
    """A second copy of the engine would share the device, and count as the tool's memory."""
    python = standin_python("nvidia", tensorrt="8.6.1")
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec")
    outcome = run(job, "infer", python, ASSAY_STANDIN_FAULT="load:oom")
    assert outcome.failed("out_of_memory"), "the runtime could not be loaded"
    assert "=== Performance summary ===" in outcome.log, "the tool had measured before"


def test_the_monitor_tells_its_memory(tmp_path: Path) -> None:
    """This process asks when the tool has long ended."""
    python = standin_python("nvidia", tensorrt="8.6.1")
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec")
    assert run(job, "infer", python).ok.memory is None


@pytest.mark.parametrize(
    ("precision", "option"), [("fp32", " --noTF32 "), ("fp16", " --fp16 "), ("tf32", "")]
)
def test_precision_and_shapes_are_on_its_command_line(
    tmp_path: Path, precision: str, option: str
) -> None:
    python = standin_python("nvidia", tensorrt="8.6.1")
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec", precision=precision)
    command = run(job, "compile", python).ok.effective["build_command"]
    assert option in command
    assert ("TF32" in command, "fp16" in command) == (precision == "fp32", precision == "fp16")
    assert "--minShapes=input:1x3x16x16 --optShapes=input:4x3x16x16" in command
    assert "--skipInference" in command


def test_a_failed_build_shows_its_error_lines(tmp_path: Path) -> None:
    python = standin_python("nvidia", tensorrt="8.5.1")
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:fail")
    message = outcome.failed("compile")
    assert "Could not find any implementation" in message
    assert "exit code 1" in message
    assert "&&&& FAILED" in outcome.log, "the whole log is kept"


def test_one_that_is_killed_ran_out_of_memory(tmp_path: Path) -> None:
    python = standin_python("nvidia", tensorrt="8.5.1")
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:killed")
    assert "SIGKILL" in outcome.failed("out_of_memory")


def test_its_warnings_are_the_results(tmp_path: Path) -> None:
    python = standin_python("nvidia", tensorrt="8.2.1")
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:warn")
    assert "insufficient memory" in warned(outcome, "compiler_warning")


def test_an_engine_of_another_release_is_built_again(tmp_path: Path) -> None:
    job = vendor_job(tmp_path / "job", "nvidia", "trtexec")
    assert run(job, "compile", standin_python("nvidia", tensorrt="8.5.1")).ok
    outcome = run(job, "infer", standin_python("nvidia", tensorrt="8.6.1"))
    assert "8.5.1" in warned(outcome, "recompiled")
