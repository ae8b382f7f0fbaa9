"""A language model's load scenarios: first tokens are reported, sequences are greedy, both latencies are LoadGen's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from driver.models.job import JobFile
from driver.results.scenarios.logs import keep_scenario, read_scenario
from tests.harness.modules import loadgen
from tests.harness.scenarios.conftest import scenario
from tests.harness.test_generation import PROMPT, TOKENS, expected_logits, make, windows
from tests.harness.test_measured_stage import loop

if TYPE_CHECKING:
    from driver.models.result import Scenario
    from tests.harness.conftest import MakeJob
    from tests.harness.job_folder import Outcome

pytestmark = pytest.mark.jobs

COUNT = 10
BOUNDS = {"latency_bound_ns": 500_000_000, "token_bound_ns": 200_000_000}


def ran(
    make_job: MakeJob, name: str, target_qps: float | None = None, **changes: Any
) -> tuple[Outcome, Scenario]:
    """Run a scenario; return the stage's outcome, and the figures that the driver reads from its logs."""
    own = {**BOUNDS, "target_qps": target_qps} if name == "server" else {}
    asked = scenario(name, tokens=True, **own)
    job = make(make_job, scenario=asked, **changes)
    outcome = job.run_forked()
    assert outcome.returncode == 0, outcome.log
    held = JobFile.model_validate_json((job.folder / "job.json").read_text(encoding="utf-8"))
    log = read_scenario(held, outcome.report, outcome.out)
    assert log is not None
    kept = job.folder / "kept"
    kept.mkdir()
    return outcome, keep_scenario(log, held, outcome.report, outcome.out, kept)


def greedy(window: Any) -> list[int]:
    """Return the tokens that a prompt gets, each the most probable one after those before it."""
    found = list(window[:PROMPT])
    for _ in range(TOKENS):
        padded = np.array([*found, *[0] * TOKENS])[: len(found) + 1]
        found.append(int(expected_logits(padded)[-1].argmax()))
    return found[PROMPT:]


@pytest.mark.parametrize(
    ("name", "batch_size"), [("offline", 4), ("singlestream", 1), ("server", 4)]
)
def test_every_answer_is_the_greedy_sequence_of_its_prompt(
    make_job: MakeJob, name: str, batch_size: int
) -> None:
    outcome, found = ran(make_job, name, batch_size=batch_size)
    assert found.agreement == 1.0
    assert found.sampled > 0
    assert found.samples_a_call <= batch_size
    path = outcome.out / "loadgen" / "accuracy" / "mlperf_log_accuracy.json"
    for entry in json.loads(path.read_text(encoding="utf-8")):
        tokens = np.frombuffer(bytes.fromhex(entry["data"]), np.int32)
        assert list(tokens) == greedy(windows(COUNT)[entry["qsl_idx"]])
        assert entry["token_count"] == TOKENS


def test_offline_counts_tokens(make_job: MakeJob) -> None:
    _, found = ran(make_job, "offline", batch_size=4)
    assert (found.unit, found.ttft_ms, found.tpot_ms) == ("tokens/s", None, None)
    assert found.figure == found.tokens_per_s
    assert found.tokens_per_s == pytest.approx(TOKENS * (found.samples_per_s or 0), rel=0.01)


def test_server_has_both_latencies_and_both_bounds(make_job: MakeJob) -> None:
    outcome, found = ran(make_job, "server", batch_size=4)
    assert found.ttft_ms is not None
    assert found.tpot_ms is not None
    assert None not in (*found.ttft_ms.model_dump().values(), *found.tpot_ms.model_dump().values())
    assert (found.latency_bound_ms, found.token_bound_ms) == (500.0, 200.0)
    log = loadgen.read_log(outcome.out / "loadgen" / found.run)
    assert log["requested_server_ttft_latency"] == BOUNDS["latency_bound_ns"]
    assert log["requested_server_tpot_latency"] == BOUNDS["token_bound_ns"]


def test_calls_are_steps_and_batches_are_sequences(make_job: MakeJob) -> None:
    outcome, found = ran(make_job, "offline", batch_size=4)
    counted = loop(outcome.ok, "scenario")
    assert counted.calls % TOKENS == 0
    assert found.samples_a_call == pytest.approx(counted.items / (counted.calls / TOKENS))
