"""IREE for real: threads as the system counts them, the cache, weights outside the graph."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.harness import modules  # noqa: F401 - puts the harness on the path
from tests.harness.job_folder import CLASSES, SIDE, JobFolder
from tests.vendor_hooks.cpu import tiny_onnx as wire
from tests.vendor_hooks.cpu.stack import iree_stack
from tests.vendor_hooks.vendor_job import assert_right, run, vendor_job, warned

pytestmark = pytest.mark.stack

BATCH = 4
EXTERNAL = 1
engine: Any = import_module("vendor_hooks.cpu.engines.iree")


@pytest.fixture
def python() -> Path:
    found, reason = iree_stack()
    if found is None:
        pytest.skip(reason)
    return found


def iree_job(folder: Path, **changes: Any) -> JobFolder:
    return vendor_job(folder, "cpu", "iree", batch_size=BATCH, threads=2, **changes)


def test_it_infers_rightly_on_the_threads_that_it_was_given(tmp_path: Path, python: Path) -> None:
    outcome = run(iree_job(tmp_path / "job"), "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert (effective["driver"], effective["threads"]) == ("local-task", 2)
    assert effective["arithmetic"] == "fp32"
    assert outcome.ok.core_agreement == 1.0
    assert not outcome.ok.simulated
    assert outcome.ok.versions["iree"].startswith("3.13")


def test_infer_takes_what_compile_made_and_makes_it_again_for_another_processor(
    tmp_path: Path, python: Path
) -> None:
    job = iree_job(tmp_path / "job")
    assert not run(job, "compile", python).ok.cached
    assert run(job, "compile", python).ok.cached
    assert sorted(path.name for path in (job.folder / "cache").iterdir()) == [
        "iree.vmfb",
        "iree.vmfb.json",
    ], "the imported graph is as large as the weights"
    record = job.folder / "cache" / "iree.vmfb.json"
    processor = '"processor": "'
    record.write_text(record.read_text().replace(processor, processor + "another "))
    outcome = run(job, "infer", python)
    assert "processor was another " in warned(outcome, "recompiled")
    assert_right(outcome)


def test_a_module_that_was_cut_short_is_compiled_again(tmp_path: Path, python: Path) -> None:
    job = iree_job(tmp_path / "job")
    assert run(job, "compile", python).ok
    module = job.folder / "cache" / "iree.vmfb"
    module.write_bytes(module.read_bytes()[:100])
    outcome = run(job, "infer", python)
    assert "compiled again" in warned(outcome, "recompiled")
    assert_right(outcome)


def test_weights_outside_the_graph_stay_outside_the_module(tmp_path: Path, python: Path) -> None:
    job = iree_job(tmp_path / "job")
    model = job.folder / "model"
    (model / "model.data").write_bytes(wire.colour_weights(CLASSES).tobytes())
    (model / "model.onnx").write_bytes(graph_with_weights_outside())
    outcome = run(job, "infer", python)
    assert_right(outcome)
    assert (job.folder / "cache" / "iree.irpa").is_file()


def graph_with_weights_outside() -> bytes:
    """Return the graph of `vendor_job`, whose weights are in model.data."""

    def entry(key: str, value: str) -> bytes:
        return wire.message(13, wire.message(1, key) + wire.message(2, value))

    weights = b"".join(
        (
            wire.number(1, 3),
            wire.number(1, CLASSES),
            wire.number(2, wire.FLOAT),
            wire.message(8, "weights"),
            entry("location", "model.data"),
            entry("offset", "0"),
            entry("length", str(3 * CLASSES * 4)),
            wire.number(14, EXTERNAL),
        )
    )
    body = b"".join(
        (
            wire.message(1, wire.node("GlobalAveragePool", ["input"], "pooled")),
            wire.message(1, wire.node("Flatten", ["pooled"], "flat")),
            wire.message(1, wire.node("MatMul", ["flat", "weights"], "logits")),
            wire.message(2, "colours"),
            wire.message(5, weights),
            wire.message(11, wire.value_info("input", (BATCH, 3, SIDE, SIDE))),
            wire.message(12, wire.value_info("logits", (BATCH, CLASSES))),
        )
    )
    opset = wire.message(1, "") + wire.number(2, wire.OPSET)
    return wire.number(1, wire.IR_VERSION) + wire.message(7, body) + wire.message(8, opset)


def test_a_graph_that_the_compiler_refuses_is_a_compile_failure_in_its_words(
    tmp_path: Path, python: Path
) -> None:
    job = iree_job(tmp_path / "job")
    (job.folder / "model" / "model.onnx").write_bytes(b"no graph")
    assert "iree-import-onnx failed" in run(job, "compile", python).failed("compile")


@pytest.mark.parametrize(
    ("changed", "same"), [("flags : fpu avx2", False), ("flags : fpu avx512f", True)]
)
def test_a_module_is_for_a_processor_with_these_instructions(
    tmp_path: Path, changed: str, same: bool
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("model name : X\ncpu MHz : 1\nflags : fpu avx512f\n\nmodel name : Y\n")
    other.write_text(f"model name : X\ncpu MHz : 2\n{changed}\n\n")
    assert (engine.processor(one) == engine.processor(other)) is same


def test_the_entry_is_the_function_for_callers() -> None:
    assert engine.entry(["main_graph$async", "main_graph", "__init"]) == "main_graph"
