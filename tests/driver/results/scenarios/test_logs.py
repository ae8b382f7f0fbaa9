"""LoadGen's logs as MLPerf's submission checker reads them, and as the driver does: an independent reading of each."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from driver.models.report import ProbedRate
from driver.results.scenarios.detail_log import parse_detail, read_detail
from driver.results.scenarios.figures import TITLES, contradiction, scenario_figures
from driver.system.untrusted.opener import RefusedFile
from tests.driver.results.scenarios.genuine import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.driver.results.scenarios.genuine import Genuine

CHECKED = (
    *("effective_scenario", "effective_performance_sample_count", "effective_qsl_rng_seed"),
    *("effective_sample_index_rng_seed", "effective_schedule_rng_seed", "early_stopping_met"),
    *("effective_target_latency_ns", "effective_min_query_count", "effective_samples_per_query"),
    *("effective_min_duration_ms", "effective_sample_concatenate_permutation", "sut_name"),
    *("result_validity", "result_99.00_percentile_latency_ns"),
)
"""Keys that the checks of a performance run ask for (submission checker of MLPerf Inference 6.0)."""

RESULT_OF = {
    "Offline": "result_samples_per_second",
    "SingleStream": "early_stopping_latency_ss",
    "MultiStream": "early_stopping_latency_ms",
    "Server": "result_completed_samples_per_sec",
}
"""Its RESULT_FIELD_NEW."""


def as_the_checker_reads(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read a detail log by the rules of the checker's parser: by every key, all its messages."""
    messages: dict[str, list[dict[str, Any]]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")):
        text = line.rstrip()
        if number == 0:
            assert text.startswith(":::MLLOG")
        if text.startswith(":::MLLOG"):
            message = json.loads(text[len(":::MLLOG") :])
            messages.setdefault(message["key"], []).append(message)
    return messages


def test_the_checker_accepts_the_log_and_finds_every_key(genuine: Genuine) -> None:
    messages = as_the_checker_reads(genuine.out / FOLDER / "mlperf_log_detail.txt")
    every = [message for found in messages.values() for message in found]
    assert not [message for message in every if message["metadata"]["is_error"]]
    assert set(CHECKED) <= set(messages)
    (scenario,) = messages["effective_scenario"]
    assert scenario["value"] == TITLES[genuine.job.name]
    (result,) = messages[RESULT_OF[scenario["value"]]]
    assert math.isfinite(result["value"])


def test_our_figures_are_the_logs_own(genuine: Genuine) -> None:
    messages = as_the_checker_reads(genuine.out / FOLDER / "mlperf_log_detail.txt")
    log = {key: found[0]["value"] for key, found in messages.items()}
    assert read_detail(genuine.out, FOLDER) == log
    found = scenario_figures(genuine.job, genuine.report, log, {})
    assert (found.valid, found.reason is None) == ((log["result_validity"] == "VALID"),) * 2
    divisor = 1e6 if genuine.job.name.endswith("stream") else 1
    result = log[RESULT_OF[TITLES[genuine.job.name]]]
    # LoadGen's estimate is 0 where it had too few queries for one.
    assert found.figure == (result / divisor or None)
    kind = "per_query_" if genuine.job.name == "multistream" else ""
    p99 = log[f"result_99.00_percentile_{kind}latency_ns"]
    assert found.latency_ms.p99 == pytest.approx(p99 / 1e6)
    assert None not in found.latency_ms.model_dump().values()
    assert found.queries == log["result_query_count"]
    assert found.loadgen.startswith("6.")


def test_a_genuine_log_is_of_its_job(genuine: Genuine) -> None:
    log = read_detail(genuine.out, FOLDER)
    assert contradiction(genuine.job, genuine.report, log, genuine.loop) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("effective_scenario", "Interactive"),
        ("effective_test_mode", "FindPeakPerformance"),
        ("requested_min_duration_ms", 1),
        ("requested_min_query_count", 7),
        ("effective_qsl_rng_seed", 0),
        ("result_query_count", None),
    ],
)
def test_a_log_of_another_run_is_refused(genuine: Genuine, key: str, value: Any) -> None:
    if genuine.job.name == "offline" and key == "result_query_count":
        key = "result_samples_per_second"
    log = {**read_detail(genuine.out, FOLDER), key: value}
    assert contradiction(genuine.job, genuine.report, log, genuine.loop) is not None


def test_a_shorter_loop_than_its_queries_is_refused(genuine: Genuine) -> None:
    log = read_detail(genuine.out, FOLDER)
    loop = genuine.loop.model_copy(update={"wall_ns": 1_000_000})
    log |= {"generated_samples_per_query": 10**6, "result_samples_per_second": 10**6}
    said = contradiction(genuine.job, genuine.report, log, loop)
    assert said is not None
    assert "LoadGen's queries took" in said


def test_a_log_with_errors_is_not_valid_whatever_the_verdict(genuine: Genuine) -> None:
    errors = {"num_errors": 1, "error_runtime": "Ending early"}
    log = {**read_detail(genuine.out, FOLDER), "result_validity": "VALID", **errors}
    found = scenario_figures(genuine.job, genuine.report, log, {})
    assert not found.valid
    assert "Ending early" in str(found.reason)


@pytest.mark.parametrize(
    ("target", "last_met", "best"), [(None, True, 10.0), (None, False, 30.0), (50.0, True, 30.0)]
)
def test_the_best_rate_of_a_search_is_that_of_the_run_that_counts(
    genuine: Genuine, target: float | None, last_met: bool, best: float
) -> None:
    if genuine.job.name != "server":
        return
    rates = ((30.0, True), (40.0, False), (10.0, last_met))
    tried = tuple(ProbedRate(rate=rate, latency_ns=1, met=met) for rate, met in rates)
    report = genuine.report.model_copy(update={"tried": tried})
    job = genuine.job.model_copy(update={"target_qps": target})
    found = scenario_figures(job, report, read_detail(genuine.out, FOLDER), {})
    assert found.best_qps == best


def test_another_bound_is_refused(genuine: Genuine) -> None:
    if genuine.job.name != "server":
        return
    log = read_detail(genuine.out, FOLDER)
    job = genuine.job.model_copy(update={"latency_bound_ns": 15_000_000})
    said = contradiction(job, genuine.report, log, genuine.loop)
    assert said is not None
    assert "effective_target_latency_ns" in said


LINE = ':::MLLOG {"key": "a", "value": 1}'


def test_the_first_value_of_a_key_counts() -> None:
    assert parse_detail(f'{LINE}\n:::MLLOG {{"key": "a", "value": 2}}\nother text\n') == {"a": 1}


@pytest.mark.parametrize(
    "text", ["", "summary\n" + LINE, LINE + "\n:::MLLOG {", ":::MLLOG []", ':::MLLOG {"key": "a"}']
)
def test_a_text_of_another_format_is_refused(text: str) -> None:
    with pytest.raises(RefusedFile):
        parse_detail(text)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(RefusedFile, match="of LoadGen is missing"):
        read_detail(tmp_path, FOLDER)
