"""vLLM and TensorRT-LLM on their stand-ins, with the weights of llama_pydoc: right tokens, settings read back, refusals."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.job_folder import ROOT
from tests.harness.scenarios.conftest import scenario
from tests.harness.test_measured_stage import loop
from tests.vendor_hooks.language_model import (
    BATCH,
    COUNT,
    PROMPT,
    TOKENS,
    assert_speaks,
    language_job,
    validated,
)
from tests.vendor_hooks.standin import standin_python
from tests.vendor_hooks.vendor_job import run_as_driven, warned

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.job_folder import JobFolder, Outcome

pytestmark = pytest.mark.stack

ENGINES = ("vllm", "tensorrt_llm")


def ran(job: JobFolder, stage: str = "infer", fault: str = "", **settings: str) -> Outcome:
    """Run a stage; ``settings`` are the stand-in's, ``fault`` what it does wrong."""
    environment = {f"ASSAY_STANDIN_{name.upper()}": value for name, value in settings.items()}
    if fault:
        environment["ASSAY_STANDIN_FAULT"] = fault
    return run_as_driven(job, stage, standin_python("nvidia"), **environment)


def make(folder: Path, engine: str, **changes: Any) -> JobFolder:
    return language_job(folder / "job", "nvidia", engine, **changes)


def test_vllm_in_fp32_says_what_torch_says(tmp_path: Path) -> None:
    outcome = ran(make(tmp_path, "vllm", precision="fp32"))
    expected = validated(tmp_path / "eager")
    assert_speaks(outcome, expected, atol=1e-3)
    ours, theirs = (one.npz("predictions.npz") for one in (outcome, expected))
    np.testing.assert_array_equal(ours["tokens"], theirs["tokens"])
    # The perplexity of either is that of the other.
    np.testing.assert_allclose(ours["nats"].mean(), theirs["nats"].mean(), rtol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_settings_are_those_that_the_engine_reports(tmp_path: Path, engine: str) -> None:
    report = ran(make(tmp_path, engine)).ok
    effective = report.effective
    assert (effective["precision"], effective["dtype"]) == ("bf16", "bfloat16")
    cache = {"vllm": "enable_prefix_caching", "tensorrt_llm": "enable_block_reuse"}[engine]
    most = {"vllm": "max_num_seqs", "tensorrt_llm": "max_batch_size"}[engine]
    assert (effective[cache], effective[most], report.simulated) == (False, BATCH, True)
    assert report.versions[engine]
    if engine == "vllm":
        assert (effective["arithmetic"], effective["max_model_len"]) == ("bf16", PROMPT + TOKENS)
    else:
        assert "asked for" in effective["arithmetic_unread"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_batch_advances_together_in_continuous_steps(tmp_path: Path, engine: str) -> None:
    outcome = ran(make(tmp_path, engine))
    core = loop(outcome.ok, "core")
    assert (core.calls % TOKENS, core.items) == (0, BATCH * core.calls)
    assert outcome.ok.details["scheduling"]["tokens_an_arrival"] > 1
    assert outcome.ok.core_agreement == 1.0
    assert "from the beginning" in warned(outcome, "steps_recomputed")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cache_of_prompts_that_stays_on_is_refused(tmp_path: Path, engine: str) -> None:
    message = ran(make(tmp_path, engine), prefix_caching="always").failed("contract")
    assert "=False and reports True" in message


@pytest.mark.parametrize("engine", ENGINES)
def test_tokens_of_a_prompt_that_were_not_computed_are_found(tmp_path: Path, engine: str) -> None:
    message = ran(make(tmp_path, engine), fault="cached").failed("contract")
    assert "from its cache of prompts" in message


def test_why_vllms_own_process_died_is_in_the_failure(tmp_path: Path) -> None:
    message = ran(make(tmp_path, "vllm"), "compile", fault="compile:fail").failed("compile")
    assert "tl.dot has no such shape" in message


def test_a_cache_too_small_for_a_sequence_is_out_of_memory(tmp_path: Path) -> None:
    message = ran(make(tmp_path, "vllm"), cache_gib="0.000001").failed("out_of_memory")
    assert "larger than the available KV cache memory" in message


def test_a_cache_too_small_for_a_batch_is_out_of_memory(tmp_path: Path) -> None:
    # 2 × 4 layers × 2 heads × 24 × 2 bytes: 768 bytes a token, 12 KiB a block of 16.
    job = make(tmp_path, "vllm", batch_size=8)
    message = ran(job, cache_gib=str(10 * 12288 / (1 << 30))).failed("out_of_memory")
    assert "has room for 144 tokens, but a batch of 8 sequences" in message


def test_another_kind_of_device_is_named(tmp_path: Path) -> None:
    message = ran(make(tmp_path, "vllm"), vllm_device="cpu").failed("host")
    assert "the device 'cpu', not the device 'cuda'" in message


def test_arguments_of_the_manifest_reach_vllm(tmp_path: Path) -> None:
    options = {"device_type": "cuda", "arguments": {"max_num_batched_tokens": 8}}
    report = ran(make(tmp_path, "vllm", engine_options=options)).ok
    # Prompts in chunks of eight tokens: a batch's first tokens do not come together.
    assert report.effective["max_num_batched_tokens"] == 8
    first = report.details["scheduling"]["first_token_ns"]
    assert first["earliest"] < first["last"]


def test_weights_without_a_folder_of_hugging_face_are_written_to_the_cache(tmp_path: Path) -> None:
    job = make(tmp_path, "vllm", weights="synthetic")
    (job.folder / "weights").unlink()
    assert ran(job, "compile").ok
    folder = job.folder / "cache" / "checkpoint"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (folder / "model.safetensors").is_file()
    assert ran(job).ok


def test_a_case_that_cannot_write_its_weights_is_told_what_it_lacks(tmp_path: Path) -> None:
    job = make(tmp_path, "vllm", weights="synthetic")
    (job.folder / "weights").unlink()
    own = tmp_path / "case"
    shutil.copytree(ROOT / "cases" / "llama_pydoc", own)
    model = own / "model.py"
    text = model.read_text(encoding="utf-8")
    model.write_text(text.replace("save = DECODER.save\n", ""), encoding="utf-8")
    (job.folder / "case").unlink()
    (job.folder / "case").symlink_to(own)
    assert "cannot write" in ran(job).failed("contract")


@pytest.mark.parametrize("engine", ["vllm", pytest.param("tensorrt_llm", marks=pytest.mark.slow)])
def test_loadgen_s_server_adds_prompts_to_a_running_batch(tmp_path: Path, engine: str) -> None:
    asked = scenario(
        "server",
        tokens=True,
        target_qps=60.0,
        latency_bound_ns=2_000_000_000,
        token_bound_ns=1_000_000_000,
    )
    outcome = ran(make(tmp_path, engine, scenario=asked))
    said = outcome.ok.scenario
    assert said is not None
    # Of six samples; in 16 bits, two tokens may be as probable as each other.
    assert said.agreement >= 5 / 6
    assert said.fresh_tokens_per_s
    assert loop(outcome.ok, "scenario").items > 0
    entries = json.loads(
        (outcome.out / "loadgen" / "accuracy" / "mlperf_log_accuracy.json").read_text("utf-8")
    )
    assert {entry["token_count"] for entry in entries} == {TOKENS}
    assert len(entries) == COUNT
