"""The harness's ONNX Runtime engine with a real provider: what it takes, what it leaves to the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness.interpreters import cpu_stack
from tests.harness.job_folder import CLASSES, SIDE, JobFolder
from tests.vendor_hooks.cpu import tiny_onnx as wire
from tests.vendor_hooks.onnxruntime.stack import provider_stack
from tests.vendor_hooks.token_graph import assert_generates, generation_job
from tests.vendor_hooks.vendor_job import assert_right, run, vendor_job, warned

pytestmark = pytest.mark.stack

OWN = "OpenVINOExecutionProvider"
CPU = "CPUExecutionProvider"

PROFILED = """
from harness.engines import onnxruntime as own

own.recorded_here = lambda _: False
ENGINE = own.OnnxRuntime
"""
"""As on a release of ONNX Runtime that does not record which nodes a provider got."""


@pytest.fixture
def python() -> Path:
    found, reason = provider_stack()
    if found is None:
        pytest.skip(reason)
    return found


def job_of(folder: Path, *, tier: str = "smoke", **options: Any) -> JobFolder:
    """Return a job of the engine ``openvino``, with more options."""
    job = vendor_job(folder / "job", "onnxruntime", "openvino")
    job.document["engine_options"] = job.document["engine_options"] | options
    job.document["job"]["tier"] = tier
    return job


def with_foreign_node(job: JobFolder) -> JobFolder:
    """Put an operator into the job's graph that only ONNX Runtime itself has."""
    (job.folder / "model" / "model.onnx").write_bytes(graph(whole=True))
    return job


#: Of com.microsoft: OpenVINO's provider does not take it (Gelu and QuickGelu it does).
FOREIGN = "FastGelu"


def graph(*, whole: bool) -> bytes:
    """Return the tests' graph with FOREIGN behind it, which keeps the order of logits; else FOREIGN alone."""
    before = [
        wire.node("GlobalAveragePool", ["input"], "pooled"),
        wire.node("Flatten", ["pooled"], "flat"),
        wire.node("MatMul", ["flat", "weights"], "product"),
    ]
    foreign = wire.node(FOREIGN, ["product" if whole else "input"], "logits")
    nodes = [*(before if whole else []), foreign + wire.message(7, "com.microsoft")]
    shape: tuple[int | str, ...] = ("batch", CLASSES) if whole else ("batch", 3, SIDE, SIDE)
    body = b"".join(
        (
            *(wire.message(1, one) for one in nodes),
            wire.message(2, "foreign"),
            wire.message(5, wire.initializer("weights", wire.colour_weights(CLASSES))),
            wire.message(11, wire.value_info("input", ("batch", 3, SIDE, SIDE))),
            wire.message(12, wire.value_info("logits", shape)),
        )
    )
    opsets = [("", wire.OPSET), ("com.microsoft", 1)]
    imports = (wire.message(8, wire.message(1, name) + wire.number(2, n)) for name, n in opsets)
    return wire.number(1, wire.IR_VERSION) + wire.message(7, body) + b"".join(imports)


def test_a_provider_that_takes_all_has_every_node(tmp_path: Path, python: Path) -> None:
    job = job_of(tmp_path)
    outcome = run(job, "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["provider"] == OWN
    assert set(effective["nodes"]) == {OWN}
    assert (effective["share_of_nodes"], effective["cpu_operators"]) == (1.0, {})
    assert OWN in effective["arithmetic_unread"]
    assert effective["requested_options"]["precision"] == "FP32"
    assert effective["requested_options"]["num_of_threads"] == str(job.document["threads"])


def test_what_it_leaves_to_the_cpu_is_counted_and_warned_of(tmp_path: Path, python: Path) -> None:
    outcome = run(with_foreign_node(job_of(tmp_path)), "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["cpu_operators"] == {FOREIGN: 1}
    assert 0 < effective["share_of_nodes"] < 1
    said = warned(outcome, "effective_differs")
    assert f"ONNX Runtime gave the CPU 1 {FOREIGN}" in said


def test_from_standard_on_it_is_a_failure(tmp_path: Path, python: Path) -> None:
    job = with_foreign_node(job_of(tmp_path, tier="standard"))
    outcome = run(job, "compile", python)
    assert f"ONNX Runtime gave the CPU 1 {FOREIGN}" in outcome.failed("compile")
    assert outcome.report.failure is not None
    assert f'cpu_operators = ["{FOREIGN}"]' in outcome.report.failure.remedy


def test_operators_that_the_manifest_names_may_run_there(tmp_path: Path, python: Path) -> None:
    job = with_foreign_node(job_of(tmp_path, tier="standard", cpu_operators=[FOREIGN]))
    outcome = run(job, "infer", python)
    assert_right(outcome)
    assert outcome.ok.warnings == ()
    assert outcome.ok.effective["cpu_operators"] == {FOREIGN: 1}


def test_a_provider_that_takes_nothing_is_a_failure_in_a_smoke_run_too(
    tmp_path: Path, python: Path
) -> None:
    job = job_of(tmp_path, cpu_operators=[FOREIGN])
    (job.folder / "model" / "model.onnx").write_bytes(graph(whole=False))
    assert f"{OWN} took 0 of 1 nodes" in run(job, "compile", python).failed("compile")


def profiled(job: JobFolder, hook: Path) -> JobFolder:
    """Let the job's ONNX Runtime be an older release; ``hook`` is where its engine is written."""
    (hook / "engines").mkdir(parents=True)
    (hook / "engines" / "openvino.py").write_text(PROFILED, encoding="utf-8")
    (hook / "hook").symlink_to(Path(__file__).parents[3] / "vendor_hooks" / "onnxruntime" / "hook")
    job.document["harness_engine"] = None
    (job.folder / "hook").unlink()
    (job.folder / "hook").symlink_to(hook)
    return job


def test_a_provider_generates_step_by_step(tmp_path: Path, python: Path) -> None:
    outcome = run(generation_job(tmp_path / "job", "onnxruntime", "openvino"), "infer", python)
    assert_generates(outcome)
    assert set(outcome.ok.effective["nodes"]) == {OWN}


def test_an_older_release_is_profiled_in_a_step(tmp_path: Path, python: Path) -> None:
    job = generation_job(tmp_path / "job", "onnxruntime", "openvino")
    outcome = run(profiled(job, tmp_path / "hook"), "infer", python)
    assert_generates(outcome)
    assert outcome.ok.effective["nodes"][OWN] >= 1


def test_an_older_release_is_profiled_instead(tmp_path: Path, python: Path) -> None:
    job = profiled(with_foreign_node(job_of(tmp_path)), tmp_path / "hook")
    outcome = run(job, "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["cpu_operators"] == {FOREIGN: 1}
    assert effective["nodes"][OWN] >= 1
    assert effective["nodes_counted"] == "run, fused parts as one"


def test_a_provider_that_this_build_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    python, reason = cpu_stack()
    if python is None:
        pytest.skip(reason)
    job = job_of(tmp_path, provider="QNNExecutionProvider")
    outcome = run(job, "compile", python)
    message = outcome.failed("image")
    assert "has no QNNExecutionProvider; it has" in message
    assert CPU in message
