"""The core loop of an engine that schedules sequences by itself: batches as of others, tokens checked by logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.harness.modules import core_check, errors, scheduled_loop
from tests.harness.test_generation import (
    PROMPT,
    TOKENS,
    VOCABULARY,
    ask,
    expected_logits,
    make,
    windows,
)
from tests.harness.test_measured_stage import loop

if TYPE_CHECKING:
    from tests.harness.conftest import MakeJob

pytestmark = pytest.mark.jobs


@pytest.mark.parametrize("together", [False, True])
def test_a_call_ends_when_every_sequence_of_the_batch_has_its_next_token(
    make_job: MakeJob, together: bool
) -> None:
    options = {"together": together}
    outcome = make(make_job, "serving", batch_size=4, engine_options=options).run_forked()
    core = loop(outcome.ok, "core")
    assert core.calls % TOKENS == 0
    assert (core.items, core.in_flight, core.clock) == (4 * core.calls, 1, "harness")
    assert "schedule" in core.includes
    samples = outcome.npy("core.npy")
    assert samples.sum() == core.wall_ns
    later = samples.reshape(-1, TOKENS)[:, 1:]
    # Tokens that come together end their calls together: only the first call of a batch took time.
    assert bool(later.max() == 0) is together
    scheduling = outcome.ok.details["scheduling"]
    assert scheduling["tokens_an_arrival"] == pytest.approx(4 * TOKENS if together else 4)
    assert scheduling["first_token_ns"]["earliest"] <= scheduling["first_token_ns"]["last"]


def test_a_step_of_a_batch_waits_for_its_slowest_sequence() -> None:
    batch = scheduled_loop._Batch(10, 2, 3)
    # Of each arrival: sequences that got their first token, and steps of the whole batch that ended.
    assert batch.take([(10, 5)]) == (1, 0)
    assert batch.take([(10, 6), (11, 7)]) == (1, 1)
    assert batch.take([(10, 8)]) == (0, 0)
    assert batch.take([(11, 9), (11, 4)]) == (0, 2)
    assert batch.ids.tolist() == [[5, 6, 8], [7, 9, 4]]
    with pytest.raises(errors.StageFailure):
        batch.take([(11, 1)])
    with pytest.raises(errors.StageFailure):
        batch.take([(12, 1)])


def test_its_logits_are_those_of_engines_that_are_led(make_job: MakeJob) -> None:
    outcome = make(make_job, "serving", batch_size=4, golden_count=6).run_forked()
    logits = np.array([expected_logits(window) for window in windows(10)])
    np.testing.assert_allclose(outcome.npz("raw.npz")["logits"], logits[:6], rtol=1e-4, atol=1e-4)
    predictions = outcome.npz("predictions.npz")
    np.testing.assert_array_equal(predictions["tokens"], logits.argmax(axis=2))
    assert outcome.ok.core_agreement == 1.0
    (warning,) = outcome.ok.warnings
    assert (warning.code, "takes no token" in warning.message) == ("steps_recomputed", True)


def test_sampled_sequences_have_the_tokens_that_the_engine_chose(make_job: MakeJob) -> None:
    outcome = make(make_job, "serving", batch_size=4).run_forked()
    sampled = outcome.npz("core_samples.npz")
    tokens, logits = sampled["input:input_ids"], sampled["output:logits"]
    assert logits.shape == (len(tokens), TOKENS, VOCABULARY)
    np.testing.assert_array_equal(tokens[:, PROMPT:], logits[:, :-1].argmax(axis=2))
    assert outcome.ok.details["core_check"]["largest_difference"] == 0.0


def test_tokens_that_its_own_logits_do_not_choose_break_the_contract(make_job: MakeJob) -> None:
    message = (
        make(make_job, "serving", engine_options={"wrong": True}).run_forked().failed("contract")
    )
    assert "sampled from the core loop" in message


def test_a_token_too_many_breaks_the_contract(make_job: MakeJob) -> None:
    message = (
        make(make_job, "serving", engine_options={"twice": True}).run_forked().failed("contract")
    )
    assert "which is not running" in message


def test_logits_that_are_no_numbers_fail_the_run(make_job: MakeJob) -> None:
    message = make(make_job, "serving", engine_options={"nan": True}).run_forked().failed("infer")
    assert "NaN" in message


def test_questions_need_no_decode_steps_and_carry_no_mark(make_job: MakeJob) -> None:
    outcome = ask(make_job, [3, 7, 3, 20, 11], engine="serving", batch_size=3).run_forked()
    assert loop(outcome.ok, "whole").items == 5
    assert outcome.ok.warnings == ()


def test_an_audit_compares_repeated_prompts_with_fresh_ones(make_job: MakeJob) -> None:
    report = make(make_job, "serving", measure={"audit": True}).run_forked().ok
    rates = report.details["repeated_inputs"]
    assert len(rates["fresh"]) == len(rates["repeated"]) > 1


def test_how_far_a_choice_is_from_the_best_is_measured_in_errors_of_logits() -> None:
    random = np.random.RandomState(0)
    logits = random.standard_normal((5, 1000)).astype(np.float32)
    best = logits.argmax(axis=1)
    np.testing.assert_array_equal(core_check.shortfalls(logits, best), np.zeros(5))
    # Another token that rounding of bf16 explains, and one that it does not.
    logits[0, 7], logits[1, 7] = logits[0].max() - 0.1, logits[1].max() - 1.0
    found = core_check.shortfalls(logits, np.array([7, 7, *best[2:]]))
    tolerance = core_check.TOLERANCES["bf16"]
    assert found[0] <= tolerance < found[1]
