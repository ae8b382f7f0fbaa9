"""A language model's figures: times of prefills and of decode steps, and the least work that they do."""

from __future__ import annotations

import numpy as np
import pytest

from driver.models.case import ModelSpec
from driver.models.job import GenerationJob
from driver.models.result import Generation
from driver.results.language import figures as language
from driver.system.settings import ROOT
from tests.cases.test_manifests import manifest

SPEC = GenerationJob(
    context=64, hidden=8, layers=2, heads=4, kv_heads=2, head_size=2, prompt=10, tokens=4
)
VOCABULARY, LAYERS = 16, 1000
OF_A_KEY = 2 * 2 * 4 * 2
MODEL = ModelSpec.model_validate(
    {
        "architecture": "a.B",
        "inputs": [{"name": "input_ids", "shape": [], "dtype": "int64"}],
        "outputs": [{"name": "logits", "shape": [VOCABULARY]}],
        "parameters": 2000,
        "macs": LAYERS + 8 * VOCABULARY + OF_A_KEY,
        "macs_scope": "one token",
    }
)


def figures(*processes: list[int], **changes: object) -> Generation:
    asked = {"batch_size": 2, "arithmetic": "fp32", "bandwidth": None, **changes}
    samples = [np.array(each, np.int64) * 1_000_000 for each in processes]
    return language.figures(SPEC, MODEL, samples_ns=samples, **asked)  # type: ignore[arg-type]


def test_a_prefill_reads_its_prompt_and_a_decode_step_one_token_of_each_sequence() -> None:
    found = figures([40, 4, 4, 4, 60, 6, 6, 6])
    assert found.p_prefill == pytest.approx(2 * 10 / 0.050)
    assert found.p_decode == pytest.approx(2 / 0.005)
    assert found.tpot_ms == pytest.approx(5)


def test_rates_are_medians_over_processes_and_percentiles_of_all_calls() -> None:
    found = figures(*([[40, *[4] * 3] * 4, [20, *[2] * 3] * 4, [30, *[3] * 3] * 4]))
    assert found.p_decode == pytest.approx(2 / 0.003)
    assert (found.ttft_ms.p50, found.ttft_ms.p90, found.ttft_ms.samples) == (30, None, 12)
    assert (found.itl_ms.p50, found.itl_ms.samples) == (3, 36)


BOUND = SPEC.model_copy(update={"ttft_ms": 50.0, "tpot_ms": 4.0})


def goodput(*processes: list[int], spec: GenerationJob = BOUND) -> float | None:
    samples = [np.array(each, np.int64) * 1_000_000 for each in processes]
    asked = {"batch_size": 2, "arithmetic": "fp32", "bandwidth": None}
    return language.figures(spec, MODEL, samples_ns=samples, **asked).goodput  # type: ignore[arg-type]


def test_goodput_counts_the_sequences_within_both_bounds_over_the_time_of_all() -> None:
    # Both at their bounds; then a prefill too slow, then decode steps too slow, of which one is fast.
    slow = [50, 4, 4, 4, 51, 4, 4, 4, 50, 1, 4, 8]
    assert goodput(slow) == pytest.approx(2 * 1 / (sum(slow) / 1000))
    assert goodput([51, 4, 4, 4]) == 0


def test_goodput_is_the_median_of_processes_and_none_without_bounds() -> None:
    processes = ([40, 4, 4, 4], [20, 4, 4, 4], [49, 4, 4, 4])
    assert goodput(*processes) == pytest.approx(2 / 0.052)
    assert goodput(*processes, spec=SPEC) is None


def test_no_process_has_no_times_but_a_cache() -> None:
    found = figures()
    assert (found.ttft_ms.p50, found.tpot_ms, found.p_prefill, found.mbu) == (None,) * 4
    # Keys and values, of two layers, two heads and two numbers: 16 of each of 13 tokens, of two sequences.
    assert found.kv_cache_gib * (1 << 30) == pytest.approx(2 * 13 * 16 * 4)


def test_prefill_does_what_a_causal_model_needs() -> None:
    # Each token passes the layers, sees itself and those before it; the logits are of the last one.
    macs = 10 * LAYERS + 8 * VOCABULARY + sum(range(1, 11)) * OF_A_KEY
    assert language.work(SPEC, MODEL, 3, 2).prefill_operations == 2 * 3 * macs
    found = figures([50, 5, 5, 5])
    mfu = language.prefill_mfu(found, SPEC, MODEL, 1e9)
    assert mfu == pytest.approx(100 * 2 * 2 * macs / 0.050 / 1e9)
    assert language.prefill_mfu(found, SPEC, MODEL, None) is None


def test_decode_reads_each_matrix_once_and_the_past_of_every_sequence() -> None:
    # Pasts of 10, 11 and 12 tokens, 16 numbers each.
    read = LAYERS + 8 * VOCABULARY + 2 * 11 * 16
    found = figures([50, 5, 5, 5], arithmetic="bf16", bandwidth=1e6)
    assert found.mbu == pytest.approx(100 * 2 * read / 0.005 / 1e6)


@pytest.mark.parametrize(
    "case",
    [
        path.parent.name
        for path in (ROOT / "cases").glob("*/case.toml")
        if "[generation]" in path.read_text()
    ],
)
def test_what_a_case_says_of_its_model_fits_together(case: str) -> None:
    said = manifest(case)
    spec, model = said.generation, said.model
    assert spec is not None
    head = spec.hidden * model.outputs[0].shape[0]
    width = spec.heads * spec.head_size
    of_attention = 2 * spec.hidden * (width + spec.kv_heads * spec.head_size)
    of_layers = model.macs - head - language.attention_macs(spec)
    assert of_layers > spec.layers * of_attention
    assert 0.9 < (model.macs - language.attention_macs(spec)) / model.parameters < 1.1
