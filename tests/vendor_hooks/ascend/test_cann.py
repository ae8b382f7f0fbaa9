"""CANN's engine on the stand-ins: atc's command, the chip it compiles for, and what goes wrong."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.harness.job_folder import ROOT
from tests.vendor_hooks.ascend.stack import cann_python
from tests.vendor_hooks.standin import standin_python
from tests.vendor_hooks.vendor_job import assert_right, core, manifest, run, vendor_job, warned

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.stack


@pytest.fixture
def python() -> Path:
    """Return the Python of test_engine_contract.py: what both run with it runs once."""
    return cann_python(manifest("ascend").default_stack)


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return what puts a program of one's own before all others on PATH."""

    def put(name: str, script: str, stack: str = "cann5.1.rc2") -> dict[str, str]:
        folder = tmp_path / "first"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
        return {"PATH": f"{folder}:{cann_python(stack).parent}:/usr/bin:/bin"}

    return put


@pytest.mark.parametrize(
    ("precision", "mode"),
    [
        ("fp16", "force_fp16"),
        ("mixed", "allow_mix_precision"),
        ("cube_fp16in_fp32out", "force_fp32"),
        ("origin", "must_keep_origin_dtype"),
    ],
)
def test_each_precision_is_a_mode_of_atc(
    tmp_path: Path, python: Path, precision: str, mode: str
) -> None:
    outcome = run(
        vendor_job(tmp_path / "job", "ascend", "cann", precision=precision), "infer", python
    )
    assert_right(outcome)
    report = outcome.ok
    command = report.effective["command"]
    assert f"--precision_mode={mode}" in command
    assert ("--modify_mixlist=" in command) == (precision == "mixed")
    assert "--input_shape=input:4,3,16,16" in command
    assert "--framework=5" in command
    assert report.simulated
    assert report.core_agreement == 1.0
    assert core(outcome).in_flight == report.effective["in_flight"] == 2


def test_force_fp32_multiplies_fp16_and_is_not_called_fp32(tmp_path: Path, python: Path) -> None:
    """It was recorded as fp32, for which the chip has no peak; GE API 9.1: cube_fp16in_fp32out."""
    job = vendor_job(tmp_path / "job", "ascend", "cann", precision="cube_fp16in_fp32out")
    effective = run(job, "compile", python).ok.effective
    assert (effective["precision_mode"], effective["arithmetic"]) == ("force_fp32", "fp16")
    ascend = manifest("ascend")
    assert "fp32" not in ascend.engines["cann"].precisions
    assert all("fp16" in chip.peaks for chip in ascend.chips.values())


def test_the_arithmetic_of_each_precision_is_that_of_its_mode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "vendor_hooks"))
    atc = importlib.import_module("vendor_hooks.ascend.atc")
    for engine in manifest("ascend").engines.values():
        # The modes are those of what compiles graphs; the others are named after torch's types.
        for precision in engine.precisions.values() if engine.needs == "onnx" else ():
            options = precision.options.get("provider_options", precision.options)
            assert precision.arithmetic == atc.ARITHMETIC[options["precision_mode"]]


def test_the_device_decides_what_is_compiled_for(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "ascend", "cann", chip="310")
    outcome = run(job, "compile", python)
    assert outcome.ok.effective["soc_version"] == "Ascend310P3"
    assert "CHIP=310 was assumed" in warned(outcome, "effective_differs")


def test_without_npu_smi_the_chip_that_was_named_does(
    tmp_path: Path, fake: Callable[..., dict[str, str]], python: Path
) -> None:
    environment = fake("npu-smi", "echo 'dcmi module initialize failed. ret is -8005' >&2; exit 1")
    job = vendor_job(tmp_path / "job", "ascend", "cann", chip="310")
    report = run(job, "compile", python, **environment).ok
    assert report.effective["soc_version"] == "Ascend310"
    assert report.warnings == ()


def test_the_opened_device_tells_its_chip_where_npu_smi_does_not(
    tmp_path: Path, fake: Callable[..., dict[str, str]], python: Path
) -> None:
    """In a container without npu-smi: compiled for the CHIP named, then for the chip that is there."""
    environment = fake("npu-smi", "exit 127")
    job = vendor_job(tmp_path / "job", "ascend", "cann", chip="310")
    assert run(job, "compile", python, **environment).ok
    outcome = run(job, "infer", python, **environment)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert (effective["soc_version"], effective["chip_source"]) == ("Ascend310P3", "pyACL")
    assert "the device is Ascend310P3" in warned(outcome, "effective_differs")
    assert "soc_version was Ascend310, now Ascend310P3" in warned(outcome, "recompiled")


@pytest.mark.parametrize(
    ("stack", "soc_version"), [("cann5.1.rc1", "Ascend710"), ("cann5.1.rc2", "Ascend310P3")]
)
def test_a_310p_of_no_more_name_is_spelled_as_atc_spells_it(
    tmp_path: Path, fake: Callable[..., dict[str, str]], stack: str, soc_version: str
) -> None:
    environment = fake("npu-smi", "echo '| 0       310P      | OK      | 15.8   42 |'", stack)
    job = vendor_job(tmp_path / "job", "ascend", "cann", stack=stack)
    report = run(job, "compile", cann_python(stack), **environment).ok
    assert report.effective["soc_version"] == soc_version
    assert report.warnings == ()


def test_an_om_refused_twice_says_for_which_chip_it_is(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "ascend", "cann")
    outcome = run(job, "infer", python, ASSAY_STANDIN_FAULT="load:fail")
    message = outcome.failed("infer")
    assert "acl.mdl.load_from_file returned 545001" in message
    assert "compiled for Ascend310P3 (CHIP=310P, chip taken from npu-smi)" in message
    failure = outcome.report.failure
    assert failure is not None
    assert "CHIP=310P or CHIP=910B4" in failure.remedy


@pytest.mark.parametrize(
    ("stack", "soc_version"), [("cann5.1.rc1", "Ascend710"), ("cann5.1.rc2", "Ascend310P3")]
)
def test_each_release_of_atc_gets_the_310p_by_a_name_that_it_knows(
    tmp_path: Path, stack: str, soc_version: str
) -> None:
    """The device takes what either makes; the newer release refuses the older name."""
    job = vendor_job(tmp_path / "job", "ascend", "cann", stack=stack)
    outcome = run(job, "infer", cann_python(stack))
    assert outcome.ok.effective["soc_version"] == soc_version
    assert_right(outcome)


def test_an_om_of_another_chip_is_compiled_again_and_said_so(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "ascend", "cann")
    older = standin_python("ascend", chip="310")
    assert run(job, "compile", older).ok
    outcome = run(job, "infer", python)
    assert "soc_version was Ascend310, now Ascend310P3" in warned(outcome, "recompiled")
    assert_right(outcome)


def test_a_damaged_om_is_compiled_again_and_said_so(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "ascend", "cann")
    assert run(job, "compile", python).ok
    (job.folder / "cache" / "model.om").write_bytes(b"cut short")
    outcome = run(job, "infer", python)
    assert "145006" in warned(outcome, "recompiled")
    assert_right(outcome)


def test_what_compile_made_is_found_again(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "ascend", "cann")
    assert not run(job, "compile", python).ok.cached
    second = run(job, "compile", python)
    assert second.ok.cached
    assert "$ atc" not in second.log


@pytest.mark.parametrize(
    ("fault", "kind", "telling"),
    [
        ("fail", "compile", "EZ3003: No supported Ops kernel"),
        ("oom", "out_of_memory", "EL0004"),
        ("killed", "out_of_memory", "SIGKILL"),
    ],
)
def test_a_failed_compilation_shows_its_code(
    tmp_path: Path, python: Path, fault: str, kind: str, telling: str
) -> None:
    job = vendor_job(tmp_path / "job", "ascend", "cann")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT=f"compile:{fault}")
    assert telling in outcome.failed(kind)


def test_an_opset_that_atc_does_not_take_says_which_it_takes(tmp_path: Path, python: Path) -> None:
    from tests.vendor_hooks.vendor_job import write_graph

    job = vendor_job(tmp_path / "job", "ascend", "cann")
    write_graph(job.folder / "model" / "model.onnx", batch=4, opset=18)
    outcome = run(job, "compile", python)
    assert "E19010" in outcome.failed("compile")
    failure = outcome.report.failure
    assert failure is not None
    assert "opset 11" in failure.remedy


def test_a_warning_of_atc_is_the_results(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "ascend", "cann")
    outcome = run(job, "compile", python, ASSAY_STANDIN_FAULT="compile:warn")
    assert "W11001" in warned(outcome, "compiler_warning")


@pytest.mark.parametrize(
    "script",
    [
        "echo 'ATC run success, welcome to the next use.'; exit 255",
        "echo 'ATC start working now, please wait for a moment.'; exit 0",
        "echo 'ATC run success, welcome to the next use.'; exit 0",
    ],
    ids=["success line, exit 255", "no success line, exit 0", "both, but no file"],
)
def test_success_is_the_line_the_exit_code_and_the_file_together(
    tmp_path: Path, fake: Callable[..., dict[str, str]], python: Path, script: str
) -> None:
    job = vendor_job(tmp_path / "job", "ascend", "cann")
    assert "atc" in run(job, "compile", python, **fake("atc", script)).failed("compile")


def test_no_driver_is_the_hosts_failure(
    tmp_path: Path, fake: Callable[..., dict[str, str]], python: Path
) -> None:
    said = "atc.bin: error while loading shared libraries: libascend_hal.so: cannot open"
    job = vendor_job(tmp_path / "job", "ascend", "cann")
    message = run(job, "compile", python, **fake("atc", f"echo '{said}' >&2; exit 127")).failed(
        "host"
    )
    assert "libascend_hal.so" in message


def test_a_device_that_is_not_there_is_the_hosts_failure(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "ascend", "cann", device="7")
    assert "device 7 cannot be opened" in run(job, "infer", python).failed("host")


def test_memory_that_is_full_is_told(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "ascend", "cann")
    assert run(job, "compile", python).ok
    message = run(job, "infer", python, ASSAY_STANDIN_FAULT="load:oom").failed("out_of_memory")
    assert "acl.mdl.load_from_file returned 245000" in message


@pytest.mark.parametrize("code", [200000, 207001, 245000])
def test_each_layer_of_cann_has_a_code_of_its_own_for_full_memory(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "vendor_hooks"))
    errors = importlib.import_module("harness.errors")
    device = importlib.import_module("vendor_hooks.ascend.device")
    with pytest.raises(device.AclError) as raised:
        device.check("acl.rt.malloc", (0, code))
    assert raised.value.code == code
    assert errors.from_exception(raised.value, "infer", "ascend").kind == "out_of_memory"


def test_a_number_that_only_looks_like_a_code_is_no_full_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "vendor_hooks"))
    device = importlib.import_module("vendor_hooks.ascend.device")
    with pytest.raises(device.AclError) as raised:
        device.check("acl.rt.set_device(0)", 107001)
    assert not isinstance(raised.value, MemoryError)


@pytest.mark.parametrize(
    ("engine", "stack"), [("ais_bench", "cann5.1.rc2"), ("benchmark", "cann5.1.rc1")]
)
def test_a_vendors_tool_times_the_core_loop(tmp_path: Path, engine: str, stack: str) -> None:
    job = vendor_job(tmp_path / "job", "ascend", engine, stack=stack)
    outcome = run(job, "infer", cann_python(stack))
    assert_right(outcome)
    measured = core(outcome)
    assert measured.clock == "vendor-tool"
    assert measured.items == 4 * measured.calls
    assert measured.compute_ns is not None
    assert measured.compute_ns <= measured.wall_ns
    assert ("host_to_device" in measured.includes) == (engine == "ais_bench")
    # The figure is of the tool's loop; the predictions are of ours, with a copy of the model more.
    effective = outcome.ok.effective
    assert measured.in_flight == effective["in_flight"] == 1
    whole = next(loop for loop in outcome.ok.measurements if loop.name == "whole")
    assert whole.in_flight == effective["whole_in_flight"] == effective["model_copies"] == 2
    assert not (tmp_path / "job" / "cache" / "tool").exists()


@pytest.mark.parametrize(
    ("engine", "stack"), [("ais_bench", "cann5.1.rc2"), ("benchmark", "cann5.1.rc1")]
)
def test_what_a_vendors_tool_timed_lasts_as_long_as_asked(
    tmp_path: Path, engine: str, stack: str
) -> None:
    """The tool's own run is longer: benchmark.x86_64 reads and writes files between executions."""
    # Some passes take so long; more of them, on a busy machine, would take longer than the tool may run.
    measure = {"min_seconds": 0.1}
    job = vendor_job(tmp_path / "job", "ascend", engine, stack=stack, measure=measure)
    outcome = run(job, "infer", cann_python(stack), ASSAY_STANDIN_CLOCK_RATE="1")
    assert core(outcome).wall_ns >= 0.1e9


def test_the_older_generation_of_ais_bench_is_a_script(
    tmp_path: Path, fake: Callable[..., dict[str, str]], python: Path
) -> None:
    """Without the module ais_infer.py is used; its figures are in another file."""
    job = vendor_job(tmp_path / "job", "ascend", "ais_bench", stack="cann5.1.rc1")
    older = _without_module(standin_python("ascend", ais_bench="0.0.1", cann="5.1.RC1"))
    outcome = run(job, "infer", older)
    assert "ais_infer.py" in outcome.log
    measured = core(outcome)
    assert measured.clock == "vendor-tool"
    assert measured.wall_ns >= 0.05e9
    # Its summary has neither counts nor single times: what it was asked for is what it did.
    assert (measured.items, measured.samples) == (4 * measured.calls, None)
    assert_right(outcome)


def _without_module(python: Path) -> Path:
    for module in (python.parents[1] / "assay-standins" / "ascend" / "lib").glob("ais_bench"):
        module.rename(module.with_name("absent"))
    return python


@pytest.mark.parametrize("stage", ["compile", "infer"])
@pytest.mark.parametrize(
    ("engine", "stack", "expected", "remedy"),
    [
        ("ais_bench", "cann5.1.rc2", "inputs without a batch axis: timestep", "ENGINE=cann"),
        ("benchmark", "cann5.1.rc1", "one image as input", "ENGINE=cann"),
    ],
)
def test_a_model_that_a_tool_cannot_measure_is_refused_before_atc_runs(
    tmp_path: Path, python: Path, stage: str, engine: str, stack: str, expected: str, remedy: str
) -> None:
    inputs = [
        {"name": "sample", "shape": [4, 8, 8], "rows_per_item": 2},
        {"name": "timestep", "shape": [], "dtype": "int32", "batched": False},
    ]
    job = vendor_job(tmp_path / "job", "ascend", engine, stack=stack, inputs=inputs)
    outcome = run(job, stage, python)
    assert expected in outcome.failed(stage)
    failure = outcome.report.failure
    assert failure is not None
    assert remedy in failure.remedy
    assert "$ atc" not in outcome.log


def test_a_scalar_input_is_not_named_to_atc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "vendor_hooks"))
    atc = importlib.import_module("vendor_hooks.ascend.atc")
    read = importlib.import_module("harness.job").TensorSpec.read
    specs = [
        read({"name": "sample", "shape": [4, 64, 64], "rows_per_item": 2}),
        read({"name": "timestep", "shape": [], "dtype": "int32", "batched": False}),
        read({"name": "states", "shape": [77, 768], "rows_per_item": 2}),
    ]
    assert atc.input_shapes(specs, 3) == "sample:6,4,64,64;states:6,77,768"
