"""What a scenario's result warns of: LoadGen's verdict in its words, repeated samples, bounds that nothing keeps."""

from __future__ import annotations

from typing import Any

import pytest

from driver.models.report import ProbedRate
from driver.models.result import Metrics, Scenario
from driver.results.scenarios.figures import invalid_reason
from driver.results.scenarios.warnings import exceeds_core, invalid, missed_bound, scenario_warnings
from driver.results.warnings import collected


def scenario(**changes: Any) -> Scenario:
    return Scenario(
        **{
            "name": "server",
            "loadgen": "6.0.17",
            "valid": True,
            "unit": "samples/s",
            "percentile": 99.0,
            "latency_bound_ms": 15.0,
            "queries": 900,
            "samples_per_query": 1,
            "samples_a_call": 2.0,
            "min_duration_s": 60.0,
            "alone_ms": 4.0,
            "agreement": 1.0,
            "sampled": 60,
            "logs": {},
            "run": "performance/run_1",
            **changes,
        }
    )


def tried(*rates: tuple[float, float, bool]) -> tuple[ProbedRate, ...]:
    return tuple(
        ProbedRate(rate=rate, latency_ns=int(1e6 * ms), met=met) for rate, ms, met in rates
    )


def test_an_invalid_run_says_why_in_loadgens_words() -> None:
    reason = invalid_reason(
        {
            "result_invalid_reason": "Reduce target QPS to improve latency. ",
            "early_stopping_met": False,
            "early_stopping_result": " * Run unsuccessful.  * Processed 85 queries.",
        }
    )
    assert reason == (
        "Reduce target QPS to improve latency. Run unsuccessful. Processed 85 queries."
    )
    found = invalid(scenario(valid=False, reason=reason))
    assert found is not None
    assert reason in found.message
    assert invalid(scenario()) is None


@pytest.mark.parametrize(("rate", "warned"), [(109.0, False), (111.0, True), (None, False)])
def test_repeated_samples_may_not_be_faster_than_fresh_ones(
    rate: float | None, warned: bool
) -> None:
    found = exceeds_core(scenario(name="offline", samples_per_s=rate), 100.0)
    assert (found is not None) is warned


@pytest.mark.parametrize(("fresh", "warned"), [(160.0, False), (140.0, True), (None, True)])
def test_an_engine_that_schedules_may_be_as_fast_as_with_fresh_prompts_that_do_not_begin_together(
    fresh: float | None, warned: bool
) -> None:
    found = scenario(name="offline", tokens_per_s=170.0, fresh_tokens_per_s=fresh)
    assert (exceeds_core(found, 100.0) is not None) is warned


def test_a_server_that_answered_a_handful_of_queries_is_not_compared_with_core() -> None:
    assert exceeds_core(scenario(samples_per_s=900.0, valid=False), 100.0) is None
    assert exceeds_core(scenario(samples_per_s=900.0), 100.0) is not None


def test_a_job_without_a_scenario_has_neither() -> None:
    assert collected(scenario_warnings(Metrics(acc_metric="top1"))) == ()
    assert missed_bound(None) is None


def test_a_bound_that_no_rate_keeps_names_the_least_latency_and_a_bound_to_try() -> None:
    found = missed_bound(
        scenario(searched=True, tried=tried((40, 900, False), (2, 52, False)), alone_ms=48.0)
    )
    assert found is not None
    assert "no rate keeps LATENCY_BOUND=15ms" in found.message
    assert "alone takes 48 ms" in found.message
    assert "2 queries/s" in found.message
    assert "LATENCY_BOUND=78ms" in found.remedy


def test_a_rate_that_misses_its_bound_names_the_best_one() -> None:
    found = missed_bound(
        scenario(tried=tried((100, 80, False), (30, 12, True), (40, 16, False)), best_qps=30.0)
    )
    assert found is not None
    assert "TARGET_QPS=100 misses LATENCY_BOUND=15ms" in found.message
    assert "30 queries/s" in found.message
    assert "TARGET_QPS=28," in found.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"searched": True, "tried": tried((40, 90, False), (20, 9, True)), "best_qps": 20.0},
        {"tried": tried((20, 9, True)), "best_qps": 20.0},
        {"name": "offline"},
    ],
)
def test_a_bound_that_is_kept_fails_nothing(changes: dict[str, Any]) -> None:
    assert missed_bound(scenario(**changes)) is None
