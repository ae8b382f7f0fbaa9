"""OpenVINO for real: precision read back, requests, cache."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from driver.catalog import load_catalog
from driver.environments import prepare_environment
from driver.errors import AssayError
from driver.settings import load_settings
from tests.harness.job_folder import ROOT
from tests.vendor_hooks.vendor_job import assert_right, core, run, vendor_job, warned

pytestmark = pytest.mark.stack


@cache
def _environment() -> Path | str:
    stack = load_catalog(ROOT).vendors["intel"].stacks["openvino2026.4"]
    settings = load_settings()
    try:
        made = prepare_environment(
            stack.folder,
            python=stack.manifest.python,
            home=settings.home,
            torch_index=settings.torch_index,
            on_progress=lambda _: None,
        )
    except AssayError as error:
        return f"{error.message}: {error.remedy}"
    return made.python


@pytest.fixture
def python() -> Path:
    found = _environment()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def test_fp32_is_fp32_in_every_node_whatever_the_processor_prefers(
    tmp_path: Path, python: Path
) -> None:
    outcome = run(vendor_job(tmp_path / "job", "intel", "openvino", threads=1), "infer", python)
    assert_right(outcome)
    report = outcome.ok
    assert not report.simulated
    assert report.effective["arithmetic"] == "fp32"
    assert set(report.effective["node_precisions"]) == {"f32"}
    assert report.effective["threads"] == 1
    assert report.core_agreement == 1.0


def test_as_many_requests_fly_as_openvino_asks_for(tmp_path: Path, python: Path) -> None:
    outcome = run(vendor_job(tmp_path / "job", "intel", "openvino", threads=2), "infer", python)
    effective = outcome.ok.effective
    assert effective["performance_hint"] == "THROUGHPUT"
    assert core(outcome).in_flight == effective["in_flight"] >= effective["streams"]


def test_the_latency_engine_has_one_request_and_one_stream(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino-latency", threads=2)
    outcome = run(job, "infer", python)
    assert_right(outcome)
    effective = outcome.ok.effective
    assert effective["performance_hint"] == "LATENCY"
    assert (effective["in_flight"], effective["streams"]) == (1, 1)


def test_bf16_runs_in_bf16_or_says_that_it_does_not(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino", precision="bf16")
    outcome = run(job, "infer", python)
    assert_right(outcome)
    if outcome.ok.effective["arithmetic"] == "bf16":
        exact = run(vendor_job(tmp_path / "fp32", "intel", "openvino"), "infer", python)
        lowered = outcome.npz("raw.npz")["logits"]
        difference = np.abs(lowered - exact.npz("raw.npz")["logits"]).max()
        assert 0 < difference < 0.02
    else:
        assert "bf16 was asked for" in warned(outcome, "effective_differs")


def test_infer_loads_what_compile_cached(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino")
    first = run(job, "compile", python).ok
    assert not first.effective["loaded_from_cache"]
    assert run(job, "compile", python).ok.cached
    report = run(job, "infer", python).ok
    assert report.effective["loaded_from_cache"]
    assert report.warnings == ()


def test_a_cache_of_another_processor_is_made_again_and_said_so(
    tmp_path: Path, python: Path
) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino")
    assert run(job, "compile", python).ok
    record = job.folder / "cache" / "openvino.json"
    processor = '"processor": "'
    record.write_text(record.read_text().replace(processor, processor + "another "))
    outcome = run(job, "infer", python)
    assert "processor was another " in warned(outcome, "recompiled")
    assert_right(outcome)
    assert len(list((job.folder / "cache" / "openvino").glob("*.blob"))) == 1


def test_a_cache_that_openvino_refuses_is_made_again(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino")
    assert run(job, "compile", python).ok
    (blob,) = (job.folder / "cache" / "openvino").glob("*.blob")
    blob.unlink()
    outcome = run(job, "infer", python)
    assert "compiled again" in warned(outcome, "recompiled")
    assert_right(outcome)


def test_a_graph_cut_short_is_a_compile_failure(tmp_path: Path, python: Path) -> None:
    job = vendor_job(tmp_path / "job", "intel", "openvino")
    path = job.folder / "model" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-40])
    assert "model.onnx" in run(job, "compile", python).failed("compile")
