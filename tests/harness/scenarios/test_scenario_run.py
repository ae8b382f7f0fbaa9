"""A whole infer stage with LoadGen: its logs, what the report says of it, and answers that are wrong."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from driver.models.job import JobFile
from driver.results.scenarios.logs import read_scenario
from tests.harness.job_folder import colours
from tests.harness.modules import errors, loadgen
from tests.harness.scenarios.conftest import scenario
from tests.harness.test_measured_stage import loop

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.conftest import MakeJob
    from tests.harness.job_folder import Outcome

pytestmark = pytest.mark.jobs

COUNT = 24
FOLDER = "loadgen/performance/run_1"
OWN = ("latency_bound_ns", "target_qps", "min_query_count")
"""Fields of the scenario, not of the job."""
MANY = 400
"""Queries or samples with which engine forgetful has seen enough."""


def ran(make_job: MakeJob, name: str, *, batch_size: int = 4, **changes: Any) -> Outcome:
    own = {key: changes.pop(key) for key in OWN if key in changes}
    job = make_job(batch_size=batch_size, scenario=scenario(name, **own), **changes)
    outcome = job.with_pictures(COUNT).run_forked()
    if outcome.returncode == 0:
        # What the driver itself accepts.
        held = JobFile.model_validate_json((job.folder / "job.json").read_text(encoding="utf-8"))
        assert read_scenario(held, outcome.report, outcome.out) is not None
    return outcome


def accuracy_log(folder: Path) -> list[tuple[int, int]]:
    """Return (sample, best class) of each entry."""
    entries = json.loads((folder / "mlperf_log_accuracy.json").read_text(encoding="utf-8"))
    return [
        (one["qsl_idx"], int(np.frombuffer(bytes.fromhex(one["data"]), np.int32)[0]))
        for one in entries
    ]


@pytest.mark.parametrize(
    ("name", "engine", "batch_size"),
    [
        ("singlestream", "colours", 1),
        ("multistream", "colours", 3),
        ("offline", "static", 4),
        ("server", "static", 4),
    ],
)
def test_every_scenario_leaves_its_logs_and_the_right_answers(
    make_job: MakeJob, name: str, engine: str, batch_size: int
) -> None:
    outcome = ran(make_job, name, engine=engine, batch_size=batch_size)
    found = outcome.ok.scenario
    assert found is not None
    assert (found.name, found.agreement) == (name, 1.0)
    assert found.largest_difference < 1e-5
    assert 0 < found.samples_a_call <= batch_size
    labels = colours(COUNT)[1]
    accuracy = accuracy_log(outcome.out / "loadgen" / "accuracy")
    assert {sample for sample, _ in accuracy} == set(range(COUNT))
    sampled = accuracy_log(outcome.out / found_folder(outcome))
    assert found.sampled == len(sampled) > 0
    assert all(best == labels[sample] for sample, best in (*accuracy, *sampled))


def found_folder(outcome: Outcome) -> str:
    assert outcome.report.scenario is not None
    return f"loadgen/{outcome.report.scenario.run}"


def test_the_runs_that_count_are_a_loop_of_their_own(make_job: MakeJob) -> None:
    outcome = ran(make_job, "offline")
    found = loop(outcome.ok, "scenario")
    assert found.clock == "harness"
    assert found.wall_ns >= 100_000_000
    assert found.items <= 4 * found.calls
    logged = loadgen.read_log(outcome.out / FOLDER)
    assert found.items >= logged["generated_samples_per_query"]


def test_server_finds_a_rate_that_keeps_its_bound(make_job: MakeJob) -> None:
    found = ran(make_job, "server").ok.scenario
    assert found is not None
    assert any(one.met for one in found.tried)


def test_a_rate_that_was_asked_for_is_the_only_one(make_job: MakeJob) -> None:
    found = ran(make_job, "server", target_qps=50.0).ok.scenario
    assert found is not None
    assert [one.rate for one in found.tried] == [50.0]


def test_a_bound_below_the_time_of_a_query_alone_is_not_searched_for(make_job: MakeJob) -> None:
    outcome = ran(make_job, "server", latency_bound_ns=1000)
    found = outcome.ok.scenario
    assert found is not None
    assert [one.met for one in found.tried] == [False]
    assert found.call_ns > 1000
    assert loadgen.read_log(outcome.out / FOLDER)["result_validity"] == "INVALID"


def test_a_target_that_misses_its_bound_is_followed_by_a_search(make_job: MakeJob) -> None:
    outcome = ran(make_job, "server", latency_bound_ns=50_000_000, target_qps=200_000.0)
    found = outcome.ok.scenario
    assert found is not None
    first, *others = found.tried
    assert (first.rate, first.met) == (200_000.0, False)
    assert others
    assert found.run == "performance/run_1"
    assert loadgen.read_log(outcome.out / FOLDER)["effective_target_qps"] == first.rate


def test_only_the_first_process_runs_a_scenario(make_job: MakeJob) -> None:
    report = make_job(scenario=scenario("offline"), repeat=1).with_pictures(COUNT).run_forked().ok
    assert report.scenario is None
    assert [one.name for one in report.measurements] == ["core", "latency", "whole"]


@pytest.mark.parametrize(("name", "batch_size"), [("singlestream", 1), ("server", 4)])
def test_an_engine_that_fails_in_the_middle_ends_the_stage(
    make_job: MakeJob, name: str, batch_size: int
) -> None:
    outcome = ran(
        make_job,
        name,
        engine="forgetful",
        batch_size=batch_size,
        engine_options={"fails": True},
        min_query_count=MANY,
    )
    assert "as the test asked" in outcome.failed("infer")


def test_answers_of_other_samples_break_the_contract(make_job: MakeJob) -> None:
    outcome = ran(make_job, "offline", engine="forgetful", min_query_count=MANY)
    message = outcome.failed("contract")
    assert "have other outputs in LoadGen's run" in message


def test_a_stack_without_loadgen_says_what_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    with pytest.raises(errors.StageFailure) as caught:
        loadgen.load()
    assert caught.value.kind == "image"
    assert "mlcommons-loadgen" in caught.value.remedy
