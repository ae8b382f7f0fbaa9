"""Load scenarios of an engine that schedules sequences: prompts join those that run, tokens are reported as they come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.harness.scenarios.conftest import scenario
from tests.harness.scenarios.test_token_answers import COUNT, greedy, ran
from tests.harness.test_generation import TOKENS, make, windows
from tests.harness.test_measured_stage import loop

if TYPE_CHECKING:
    from tests.harness.conftest import MakeJob

pytestmark = pytest.mark.jobs

#: Of a step: a sequence takes as many times as long.
PAUSE_S = 0.004


@pytest.mark.parametrize(
    ("name", "batch_size"), [("offline", 4), ("singlestream", 1), ("server", 4)]
)
def test_every_answer_is_the_greedy_sequence_of_its_prompt(
    make_job: MakeJob, name: str, batch_size: int
) -> None:
    outcome, found = ran(make_job, name, engine="serving", batch_size=batch_size)
    assert found.agreement == 1.0
    assert found.sampled > 0
    assert 0 < found.samples_a_call <= batch_size
    path = outcome.out / "loadgen" / "accuracy" / "mlperf_log_accuracy.json"
    entries = json.loads(path.read_text(encoding="utf-8"))
    assert len(entries) == COUNT
    for entry in entries:
        tokens = np.frombuffer(bytes.fromhex(entry["data"]), np.int32)
        assert list(tokens) == greedy(windows(COUNT)[entry["qsl_idx"]])
        assert entry["token_count"] == TOKENS


def test_prompts_of_a_server_join_sequences_that_run(make_job: MakeJob) -> None:
    options = {"pause": PAUSE_S}
    outcome, found = ran(
        make_job, "server", 100.0, engine="serving", batch_size=4, engine_options=options
    )
    assert int(outcome.ok.versions["joined"]) > 0
    # At 100 queries/s of five steps each, more than one runs at a time.
    assert 1.0 < found.samples_a_call <= 4.0


def test_a_first_token_waits_for_a_step_and_not_for_a_batch(make_job: MakeJob) -> None:
    options = {"pause": PAUSE_S}
    _, found = ran(make_job, "server", 60.0, engine="serving", batch_size=4, engine_options=options)
    assert found.ttft_ms is not None
    assert found.ttft_ms.p50 is not None
    assert found.ttft_ms.p50 < 1e3 * PAUSE_S * TOKENS


def test_the_rate_under_a_steady_load_of_fresh_prompts_is_measured_first(
    make_job: MakeJob,
) -> None:
    outcome, found = ran(make_job, "offline", engine="serving", batch_size=4)
    assert found.fresh_tokens_per_s
    counted = loop(outcome.ok, "scenario")
    assert counted.items <= 4 * counted.calls


def test_an_engine_whose_timed_tokens_are_others_is_found(make_job: MakeJob) -> None:
    asked = scenario("offline", tokens=True)
    job = make(make_job, "serving", batch_size=4, scenario=asked, engine_options={"twice": True})
    assert "not running" in job.run_forked().failed("contract")
