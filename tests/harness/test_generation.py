"""A language model's infer stage: whole sequences in core, the same steps in whole, its logits checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.job_folder import GUEST, ROOT, write_files
from tests.harness.test_measured_stage import loop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.harness.conftest import MakeJob
    from tests.harness.job_folder import JobFolder

pytestmark = pytest.mark.jobs

VOCABULARY, PROMPT, TOKENS = 24, 10, 5
SIZES = {"context": 64, "hidden": 16, "layers": 2, "heads": 4, "kv_heads": 2, "head_size": 4}


def windows(count: int) -> NDArray[np.int32]:
    random = np.random.RandomState(3)
    return random.randint(VOCABULARY, size=(count, PROMPT + TOKENS)).astype("<i4")


def make(make_job: MakeJob, engine: str = "chain", count: int = 10, **changes: Any) -> JobFolder:
    job = make_job(
        engine=engine,
        case=GUEST / "generation_case",
        task="text-generation",
        inputs=[{"name": "input_ids", "shape": [], "dtype": "int64"}],
        outputs=[{"name": "logits", "shape": [VOCABULARY]}],
        generation={**SIZES, "prompt": PROMPT, "tokens": TOKENS},
        **changes,
    )
    write_files(job.data, [window.tobytes() for window in windows(count)])
    return job


def expected_logits(window: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the logits of each scored token, [TOKENS, VOCABULARY], as engine chain computes them."""
    rows = np.random.RandomState(7).standard_normal((VOCABULARY, 16)).astype(np.float32)
    state, found = np.zeros(16, np.float32), []
    for place, token in enumerate(window[:-1]):
        state = 0.9 * state + rows[token]
        if place >= PROMPT - 1:
            found.append(rows @ state)
    return np.array(found, np.float32)


def test_core_is_whole_sequences_and_every_call_a_token_of_each(make_job: MakeJob) -> None:
    outcome = make(make_job, batch_size=4).run_forked()
    core = loop(outcome.ok, "core")
    assert core.calls % TOKENS == 0
    assert core.items == 4 * core.calls
    assert core.in_flight == 1
    assert "choose_tokens" in core.includes
    assert outcome.npy("core.npy").sum() == core.wall_ns
    assert all(found.name != "latency" for found in outcome.ok.measurements)


def test_whole_has_the_logits_of_each_token_given_those_before_it(make_job: MakeJob) -> None:
    outcome = make(make_job, batch_size=4, golden_count=6).run_forked()
    whole = loop(outcome.ok, "whole")
    assert (whole.items, whole.calls) == (10, 3)
    raw, predictions = outcome.npz("raw.npz"), outcome.npz("predictions.npz")
    logits = np.array([expected_logits(window) for window in windows(10)])
    np.testing.assert_allclose(raw["logits"], logits[:6], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(predictions["tokens"], logits.argmax(axis=2))
    np.testing.assert_array_equal(predictions["targets"], windows(10)[:, PROMPT:])
    certain = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
    true = np.take_along_axis(certain, windows(10)[:, PROMPT:, None].astype(int), axis=2)
    np.testing.assert_allclose(predictions["nats"], -true[:, :, 0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_sampled_sequences_are_greedy_ones_of_changed_prompts(
    make_job: MakeJob, batch_size: int
) -> None:
    outcome = make(make_job, batch_size=batch_size).run_forked()
    sampled = outcome.npz("core_samples.npz")
    tokens, logits = sampled["input:input_ids"], sampled["output:logits"]
    assert logits.shape == (len(tokens), TOKENS, VOCABULARY)
    np.testing.assert_array_equal(tokens[:, PROMPT:], logits[:, :-1].argmax(axis=2))
    for sequence, found in zip(tokens, logits, strict=True):
        whole = np.append(sequence, 0).astype("<i4")
        np.testing.assert_allclose(expected_logits(whole), found, rtol=1e-4, atol=1e-4)
    prompts = {sequence[:PROMPT].tobytes() for sequence in tokens}
    real = {window[:PROMPT].astype(np.int64).tobytes() for window in windows(10)}
    assert len(prompts) == len(tokens)
    assert not prompts & real
    assert outcome.ok.core_agreement == 1.0
    assert outcome.ok.details["core_check"]["items"] >= 1


def test_an_engine_that_returns_too_early_breaks_the_contract(make_job: MakeJob) -> None:
    message = make(make_job, engine="late", batch_size=2).run_forked().failed("contract")
    assert "sampled from the core loop" in message


def test_an_engine_without_the_two_steps_is_refused(make_job: MakeJob) -> None:
    message = make(make_job, engine="colours").run_forked().failed("contract")
    assert "does not implement prefill and decode" in message


def test_logits_that_are_no_numbers_fail_the_run(make_job: MakeJob) -> None:
    message = make(make_job, engine_options={"nan": True}).run_forked().failed("infer")
    assert "NaN" in message


def test_a_cache_that_does_not_fit_is_said_before_the_first_prefill(make_job: MakeJob) -> None:
    # 2 × 2 layers × 2 heads × 4 × 4 bytes = 128 bytes per token; 14 tokens of 4 sequences are 7168 bytes.
    fits = make(make_job, engine_options={"memory": 7168})
    assert fits.run_forked().ok
    message = make(make_job, engine_options={"memory": 7167}).run_forked().failed("out_of_memory")
    assert "4 sequences of 15 tokens" in message


def test_an_id_beyond_the_vocabulary_is_named(make_job: MakeJob) -> None:
    job = make(make_job)
    beyond = windows(3)
    beyond[0, 4] = VOCABULARY
    write_files(job.data, [window.tobytes() for window in beyond])
    message = job.run_forked().failed("data")
    assert f"id {VOCABULARY}, but the model's vocabulary has {VOCABULARY}" in message


def test_an_audit_compares_repeated_prompts_with_fresh_ones(make_job: MakeJob) -> None:
    report = make(make_job, measure={"audit": True}).run_forked().ok
    rates = report.details["repeated_inputs"]
    assert len(rates["fresh"]) == len(rates["repeated"]) > 1


LONGEST = 20


def ask(make_job: MakeJob, lengths: list[int], **changes: Any) -> JobFolder:
    """Return a job of llama_7b's task: questions of these lengths, after the ids of four letters."""
    job = make(make_job, **changes)
    (job.folder / "case").unlink()
    (job.folder / "case").symlink_to(ROOT / "cases" / "llama_7b")
    job.document["preprocess"] = {"longest": LONGEST}
    write_files(job.data, [question(length).tobytes() for length in lengths])
    return job


def question(length: int) -> NDArray[np.int32]:
    letters = np.array([1, 2, 3, 4], "<i4")
    tokens = np.random.RandomState(length).randint(VOCABULARY, size=length).astype("<i4")
    return np.concatenate([letters, tokens])


def answer(length: int) -> NDArray[np.float32]:
    """Return the logits behind a question, as engine chain computes them."""
    rows = np.random.RandomState(7).standard_normal((VOCABULARY, 16)).astype(np.float32)
    state = np.zeros(16, np.float32)
    for token in question(length)[4:]:
        state = 0.9 * state + rows[token]
    found: NDArray[np.float32] = rows @ state
    return found


@pytest.mark.parametrize("static", [False, True])
def test_questions_of_different_lengths_are_asked_at_their_own(
    make_job: MakeJob, static: bool
) -> None:
    lengths = [3, 7, 3, 20, 11]
    options = {"static": static}
    outcome = ask(
        make_job, lengths, batch_size=3, golden_count=5, engine_options=options
    ).run_forked()
    logits = np.array([answer(length) for length in lengths])
    np.testing.assert_allclose(outcome.npz("raw.npz")["logits"], logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(outcome.npz("predictions.npz")["best"], logits.argmax(axis=1))
    assert loop(outcome.ok, "whole").items == 5
    # Core's prompts have PROMPT tokens, whatever the questions have: there is nothing to compare.
    assert outcome.npz("core_samples.npz")["input:input_ids"].shape[1] == PROMPT + TOKENS - 1
    assert outcome.ok.core_agreement is None


def test_a_question_that_is_longer_than_allowed_is_named(make_job: MakeJob) -> None:
    message = ask(make_job, [3, LONGEST + 1]).run_forked().failed("data")
    assert "a prompt has 21 tokens, not 1 to 20" in message


def test_items_too_short_for_core_s_prompts_break_the_contract(make_job: MakeJob) -> None:
    job = make(make_job)
    case = job.folder / "own_case"
    case.mkdir()
    (case / "task.py").write_text(SHORT_ITEMS, encoding="utf-8")
    (job.folder / "case").unlink()
    (job.folder / "case").symlink_to(case)
    message = job.run_forked().failed("contract")
    assert "items of 12 tokens, fewer than a prompt and its 15" in message


SHORT_ITEMS = """
from harness.tasks.text_generation import TextGeneration


class Short(TextGeneration):
    def prepare(self, payload):
        return {name: array[:12] for name, array in super().prepare(payload).items()}


make_task = Short
"""
