"""What every engine of every vendor must do; amd, cpu, intel and onnxruntime run for real, the others on stand-ins.

The engines come from the manifests: a new one is tested here without a line of its own.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from driver.models.base import WarningCode
from tests.harness.interpreters import cpu_stack
from tests.harness.job_folder import ROOT
from tests.shared import made_once
from tests.vendor_hooks.amd.stack import replaces_operators, zen_stack
from tests.vendor_hooks.ascend.stack import CHIPS, cann_python
from tests.vendor_hooks.cpu.stack import inductor_stack, iree_stack
from tests.vendor_hooks.intel.stack import openvino_stack
from tests.vendor_hooks.language_model import assert_speaks, language_job, validated
from tests.vendor_hooks.onnxruntime.stack import provider_stack
from tests.vendor_hooks.standin import standin_python, with_reference_stack
from tests.vendor_hooks.vendor_job import (
    LEFT,
    assert_right,
    core,
    driven,
    manifest,
    run_as_driven,
    run_by_hook,
    vendor_job,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.job_folder import Outcome

pytestmark = pytest.mark.stack

REAL = {
    "amd": zen_stack,
    "cpu": cpu_stack,
    "intel": openvino_stack,
    "onnxruntime": provider_stack,
}
OF_ENGINE = {("cpu", "iree"): iree_stack, ("cpu", "inductor"): inductor_stack}
"""Engines of these vendors that run on another stack than the vendor's default."""
NAMES = sorted(path.parent.name for path in ROOT.glob("vendor_hooks/*/vendor.toml"))
VENDORS = [*NAMES, *(f"{name}/{stack}" for name in NAMES for stack in manifest(name).stacks)]
"""Every vendor, and each of their stacks that has tables of its own."""
EVERY = [(vendor, engine) for vendor in VENDORS for engine in manifest(vendor).engines]
SERVING = [one for one in EVERY if manifest(one[0]).engines[one[1]].generates == "only"]
"""Engines of language models alone."""
ALL = [one for one in EVERY if one not in SERVING]
#: A minute of compiling C++: in every run only for amd, where the processor is AMD's.
COMPILED = ("cpu", "inductor")
CPP = (COMPILED, ("amd", "inductor"), ("amd", "zentorch"))
"""Engines that have C++ compiled."""
KEPT_CXX = ROOT / "tests" / "vendor_hooks" / "probes" / "kept-g++"
ENGINES = [
    pytest.param(*one, marks=pytest.mark.slow) if one == COMPILED else pytest.param(*one)
    for one in ALL
]
OF_GRAPHS = [one for one in ALL if manifest(one[0]).engines[one[1]].needs == "onnx"]
ON_STANDINS = [one for one in ALL if one[0] not in REAL]
#: What a compiler calls a file that is not a whole ONNX model.
UNREADABLE = ("model.onnx", "Failed to parse ONNX model", "Error parsing message")


#: Stacks of nvidia with another TensorRT than 8.6.1.
TENSORRT = {"cuda13-trt10.16": "10.16.1", "cuda13-ort": "10.16.1"}
#: Engines whose stacks have package onnx.
WITH_ONNX = (("kunlunxin", "xtcl"), ("nvidia", "ort_cuda"), ("nvidia", "ort_tensorrt"))


def python_of(vendor: str, engine: str, precision: str | None = None) -> Path:
    """Return a Python of the first stack with the engine and a precision: the real one, or one with a stand-in."""
    if vendor in REAL:
        python, reason = OF_ENGINE.get((vendor, engine), REAL[vendor])()
        if python is None:
            pytest.skip(reason)
        return python
    stack = manifest(vendor).engines[engine].stacks_with(precision)[0]
    if (vendor, engine) in SERVING:
        return standin_python(vendor.partition("/")[0])
    if vendor == "ascend":
        return cann_python(stack)
    with_onnx = (vendor, engine) in WITH_ONNX
    settings = {
        "nvidia": {"tensorrt": TENSORRT.get(stack, "8.6.1"), "layer_info": "detailed"},
    }
    chip = chip_with(vendor, engine, precision)
    if chip != manifest(vendor).default_chip:
        settings.setdefault(vendor, {})["chip"] = chip
    own = {"packages": "onnx"} if with_onnx and vendor == "nvidia" else {}
    python = standin_python(vendor.partition("/")[0], **settings.get(vendor, {}), **own)
    return with_reference_stack(python) if with_onnx else python


def chip_with(vendor: str, engine: str, precision: str | None) -> str:
    """Return a vendor's default chip, or the first one with the precision where that lacks it."""
    of = manifest(vendor)
    spec = of.engines[engine]
    arithmetic = spec.precisions[precision or spec.default_precision].arithmetic
    names = sorted(of.chips, key=lambda name: name != of.default_chip)
    return next(name for name in names if arithmetic not in of.chips[name].lacks)


class EngineJob:
    """A job of an engine, whose stages run with the variables of its precision."""

    def __init__(
        self, folder: Path, vendor: str, engine: str, precision: str | None = None
    ) -> None:
        make = language_job if (vendor, engine) in SERVING else vendor_job
        stack = manifest(vendor).engines[engine].stacks_with(precision)[0]
        chip = CHIPS.get(stack) or chip_with(vendor, engine, precision)
        self.job = make(folder / "job", vendor, engine, precision=precision, chip=chip)
        self.folder = self.job.folder
        self._python = python_of(vendor, engine, precision)
        self._compiler: dict[str, str] = {}
        if (vendor, engine) in CPP:
            kept = made_once("compiled-c++", lambda _: None)
            self._compiler = {"CXX": str(KEPT_CXX), "HOME": str(kept)}

    def run(self, stage: str, fault: str = "") -> Outcome:
        """Run a stage; ``fault`` is the stand-in's."""
        # Without one, nothing differs from what a vendor's own tests run, which then runs once.
        faulty = {"ASSAY_STANDIN_FAULT": fault} if fault else {}
        return run_as_driven(self.job, stage, self._python, **self._compiler, **faulty)

    def run_by_hook(self, stage: str) -> Outcome:
        """Run a stage as a process runner does."""
        return run_by_hook(self.job, stage, self._python, **driven(self.job))

    def compile(self) -> None:
        """Compile; skips an engine that leaves no file."""
        if not self.run("compile").ok.artifacts:
            pytest.skip("this engine compiles in memory")


@pytest.mark.parametrize(("vendor", "engine"), ENGINES)
def test_predictions_are_right_and_what_ran_is_reported(
    tmp_path: Path, vendor: str, engine: str
) -> None:
    outcome = EngineJob(tmp_path, vendor, engine).run("infer")
    assert_right(outcome)
    report = outcome.ok
    spec = manifest(vendor).engines[engine]
    # A vendor's tool keeps the outputs of its loop to itself.
    assert report.core_agreement == (None if spec.clock == "vendor-tool" else 1.0)
    assert report.simulated is (vendor not in REAL)
    assert core(outcome).in_flight == report.effective["in_flight"]
    assert report.effective["precision"] == spec.default_precision
    arithmetic = spec.precisions[spec.default_precision].arithmetic
    if "arithmetic" in report.effective:
        assert report.effective["arithmetic"] == arithmetic
    else:
        # No provider of ONNX Runtime states it.
        assert (spec.harness_engine, bool(report.effective["arithmetic_unread"])) == (
            "onnxruntime",
            True,
        )
    assert core(outcome).clock == spec.clock
    assert report.versions


BY_HOOK = {vendor: engine for vendor, engine in reversed(ALL) if (vendor, engine) not in CPP}
"""One engine of every vendor: its first that has no C++ compiled."""


@pytest.mark.parametrize(("vendor", "engine"), BY_HOOK.items())
def test_the_hook_itself_does_what_a_stage_does_that_is_forked(
    tmp_path: Path, vendor: str, engine: str
) -> None:
    """Other stages are forks of a process that has imported what they import, of real stacks numpy alone."""
    hooked = EngineJob(tmp_path / "hooked", vendor, engine)
    forked = EngineJob(tmp_path / "forked", vendor, engine)
    assert _left(hooked, hooked.run_by_hook("infer")) == _left(forked, forked.run("infer"))


def _left(job: EngineJob, outcome: Outcome) -> dict[str, Any]:
    """Return what infer reported and left that is no measurement."""
    assert_right(outcome)
    report = outcome.ok
    files = (path for name in LEFT for path in (job.folder / name).rglob("*"))
    document = {
        "effective": {k: v for k, v in report.effective.items() if not k.endswith("_ns")},
        "versions": report.versions,
        "warnings": [warning.model_dump(mode="json") for warning in report.warnings],
        "simulated": report.simulated,
        "clocks": {one.name: (one.clock, one.in_flight) for one in report.measurements},
        "files": sorted(str(path.relative_to(job.folder)) for path in files),
    }
    # Another test's job may have been the one that ran.
    text = re.sub(r"/[^ \":=]*/job/", "/job/", json.dumps(document))
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(("vendor", "engine"), OF_GRAPHS)
def test_a_graph_cut_short_is_a_compile_failure_that_names_why(
    tmp_path: Path, vendor: str, engine: str
) -> None:
    job = EngineJob(tmp_path, vendor, engine)
    path = job.folder / "model" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-40])
    message = job.run("compile").failed("compile")
    assert any(text in message for text in UNREADABLE), message


SPOKEN = [
    (vendor, engine, precision)
    for vendor, engine in SERVING
    for precision in manifest(vendor).engines[engine].precisions
]


@pytest.mark.parametrize(("vendor", "engine", "precision"), SPOKEN)
def test_a_serving_engine_says_in_each_precision_what_torch_says_in_fp32(
    tmp_path: Path, vendor: str, engine: str, precision: str
) -> None:
    outcome = EngineJob(tmp_path, vendor, engine, precision).run("infer")
    assert_speaks(outcome, validated(tmp_path / "eager"))
    report = outcome.ok
    assert report.core_agreement == 1.0
    assert report.simulated
    assert report.effective["precision"] == precision
    assert core(outcome).clock == "harness"


@pytest.mark.parametrize(("vendor", "engine"), SERVING)
def test_a_serving_engine_fails_for_nan_and_full_memory_as_others_do(
    tmp_path: Path, vendor: str, engine: str
) -> None:
    job = EngineJob(tmp_path, vendor, engine)
    assert "NaN" in job.run("infer", "infer:nan").failed("infer")
    job.run("infer", "load:oom").failed("out_of_memory")


@pytest.mark.parametrize(("vendor", "engine"), ON_STANDINS)
def test_nan_in_an_output_fails_the_run(tmp_path: Path, vendor: str, engine: str) -> None:
    outcome = EngineJob(tmp_path, vendor, engine).run("infer", "infer:nan")
    assert "NaN" in outcome.failed("infer")


PRECISIONS = [
    (vendor, engine, precision)
    for vendor, engine in ON_STANDINS
    for precision in manifest(vendor).engines[engine].precisions
    if precision != manifest(vendor).engines[engine].default_precision
]
"""Those that test_predictions_are_right_and_what_ran_is_reported does not run."""


@pytest.mark.parametrize(("vendor", "engine", "precision"), PRECISIONS)
def test_each_other_precision_runs_in_the_arithmetic_that_the_manifest_promises(
    tmp_path: Path, vendor: str, engine: str, precision: str
) -> None:
    outcome = EngineJob(tmp_path, vendor, engine, precision).run("infer")
    assert_right(outcome)
    spec = manifest(vendor).engines[engine]
    effective = outcome.ok.effective
    if spec.harness_engine == "onnxruntime":
        # No provider states it; the precision is in the options that it reports.
        assert effective["arithmetic_unread"]
        for name, value in spec.precisions[precision].options["provider_options"].items():
            assert effective["provider_options"][name] == str(value)
        return
    assert effective["arithmetic"] == spec.precisions[precision].arithmetic


@pytest.mark.parametrize(("vendor", "engine"), ENGINES)
def test_what_compile_left_is_used_again_without_a_warning(
    tmp_path: Path, vendor: str, engine: str
) -> None:
    job = EngineJob(tmp_path, vendor, engine)
    job.compile()
    # A stand-in cannot compile any more: what it infers with is what compile left.
    outcome = job.run("infer", "compile:fail")
    assert_right(outcome)
    inductors = (vendor, engine) == ("amd", "zentorch") and not replaces_operators()
    expected = [WarningCode.EFFECTIVE_DIFFERS] if inductors else []
    assert [warning.code for warning in outcome.ok.warnings] == expected


@pytest.mark.parametrize(("vendor", "engine"), ON_STANDINS)
def test_full_memory_is_out_of_memory(tmp_path: Path, vendor: str, engine: str) -> None:
    EngineJob(tmp_path, vendor, engine).run("infer", "load:oom").failed("out_of_memory")
