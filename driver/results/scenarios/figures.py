"""A load scenario's figures from LoadGen's detail log, and what of it contradicts the job. Pure (docs/scenarios.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver.models.result import Scenario, ScenarioLatency
from driver.results.figures import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from driver.models.base import ScenarioName
    from driver.models.job import ScenarioJob
    from driver.models.report import Measurement, ScenarioReport
    from driver.results.scenarios.detail_log import Logged

NS_PER_MS = 1e6
TITLES: dict[ScenarioName, str] = {
    "offline": "Offline",
    "singlestream": "SingleStream",
    "multistream": "MultiStream",
    "server": "Server",
}
"""As LoadGen writes them."""

RESULT_KEYS: dict[ScenarioName, str] = {
    "offline": "result_samples_per_second",
    "singlestream": "early_stopping_latency_ss",
    "multistream": "early_stopping_latency_ms",
    "server": "result_completed_samples_per_sec",
}
"""What MLPerf's submission checker takes as the result (RESULT_FIELD_NEW of v6.0)."""

TOKEN_KEYS: dict[ScenarioName, str] = {
    "offline": "result_tokens_per_second",
    "server": "result_completed_tokens_per_second",
    "singlestream": "early_stopping_latency_ss",
}
"""The same of a language model (RESULT_FIELD_BENCHMARK_OVERWRITE)."""

RATE_KEYS: dict[ScenarioName, str] = {
    "offline": "result_samples_per_second",
    "singlestream": "result_qps_with_loadgen_overhead",
    "server": "result_completed_samples_per_sec",
}

SAMPLES = ("result_{}_latency_ns", "result_{}_percentile_latency_ns")
QUERIES = ("result_{}_query_latency_ns", "result_{}_percentile_per_query_latency_ns")
TTFT = ("result_first_token_{}_latency_ns", "result_first_token_{}_percentile_latency_ns")
TPOT = ("result_time_to_output_token_{}", "result_time_per_output_token_{}_percentile_ns")
"""Keys of latencies by their statistic: of samples, of queries in multistream, of a language model's tokens."""

SEEDS = {
    "effective_qsl_rng_seed": 2085463073848966840,
    "effective_sample_index_rng_seed": 2747215439041700203,
    "effective_schedule_rng_seed": 16159082839903944936,
}
"""Of MLPerf Inference 6.0, which its submission checker expects."""

ERRORS = ("error_runtime", "error_invalid_test_settings", "error_invalid_config")

CLOCKS_SHARE, CLOCKS_NS = 1.01, 10_000_000
"""LoadGen's own times may exceed the harness's loop around them by so much."""


def scenario_figures(
    job: ScenarioJob, report: ScenarioReport, log: Logged, logs: Mapping[str, str]
) -> Scenario:
    """Return the figures that LoadGen logged, and what the guest adds; ``logs`` has the kept logs' digests."""
    # The submission checker accepts no log with an error, whatever its verdict.
    valid = log.get("result_validity") == "VALID" and not log.get("num_errors")
    keys = TOKEN_KEYS if job.tokens else RESULT_KEYS
    result = log.get(keys[job.name])
    in_ms = job.name in ("singlestream", "multistream")
    times = job.tokens and job.name != "offline"
    searched = job.name == "server" and job.target_qps is None
    return Scenario(
        name=job.name,
        loadgen=str(log.get("loadgen_version", "")),
        valid=valid,
        reason=None if valid else invalid_reason(log),
        figure=_scaled(result, NS_PER_MS if in_ms else 1.0) or None,
        samples_per_s=_scaled(log.get(RATE_KEYS.get(job.name, ""))),
        unit=unit_of(job),
        tokens_per_s=_scaled(log.get(TOKEN_KEYS[job.name])) if job.tokens and not in_ms else None,
        latency_ms=_latencies(log, QUERIES if job.name == "multistream" else SAMPLES),
        ttft_ms=_latencies(log, TTFT) if times else None,
        tpot_ms=_latencies(log, TPOT) if times else None,
        percentile=100 * job.percentile,
        latency_bound_ms=_scaled(job.latency_bound_ns, NS_PER_MS),
        token_bound_ms=_scaled(job.token_bound_ns, NS_PER_MS),
        target_qps=_scaled(log.get("effective_target_qps")) if job.name == "server" else None,
        searched=searched,
        best_qps=_best(report, searched=searched),
        tried=report.tried,
        alone_ms=report.call_ns / NS_PER_MS,
        queries=int(log.get("result_query_count", 0)),
        over_latency=log.get("result_overlatency_query_count"),
        samples_per_query=job.samples_per_query,
        samples_a_call=report.samples_a_call,
        min_duration_s=job.min_duration_ms / 1e3,
        agreement=report.agreement,
        sampled=report.sampled,
        fresh_tokens_per_s=report.fresh_tokens_per_s,
        logs=dict(logs),
        run=report.run,
    )


def _best(report: ScenarioReport, *, searched: bool) -> float | None:
    """Return the highest rate that kept the bound; after a search, that of the run that counts, if it did.

    A step of the search is shorter than the run that counts, which may keep the bound at a lower rate only.
    """
    if searched and report.tried and report.tried[-1].met:
        return report.tried[-1].rate
    return max((one.rate for one in report.tried if one.met), default=None)


def unit_of(job: ScenarioJob) -> str:
    """Return the unit of MLPerf's result."""
    if job.name in ("singlestream", "multistream"):
        what = "ms to the first token" if job.tokens else "ms"
        return f"{what} (p{100 * job.percentile:g})"
    return "tokens/s" if job.tokens else "samples/s"


def invalid_reason(log: Logged) -> str:
    """Return why a run is not valid, in LoadGen's own words: recommendations, errors, early stopping."""
    said = [log.get("result_invalid_reason", ""), *(log.get(key, "") for key in ERRORS)]
    if log.get("early_stopping_met") is False:
        said += [log.get(f"early_stopping_{name}result", "") for name in ("", "ttft_", "tpot_")]
    parts = (" ".join(str(one).replace(" * ", " ").split()) for one in said)
    return " ".join(part for part in parts if part) or "LoadGen gives no reason"


def contradiction(
    job: ScenarioJob, report: ScenarioReport, log: Logged, loop: Measurement
) -> str | None:
    """Return in what LoadGen's log is not of this job's scenario, or not of its loop; None if it is."""
    if report.name != job.name:
        return f"the scenario {report.name}, but the job's is {job.name}"
    wrong = next(_of_settings(job, log), None)
    if wrong is not None:
        return wrong
    took_ns = _duration_ns(job, log)
    if took_ns is None:
        return "a log of LoadGen without a result"
    if took_ns > CLOCKS_SHARE * loop.wall_ns + CLOCKS_NS:
        return (
            f"a scenario loop of {loop.wall_ns / NS_PER_S:.3f} s, but LoadGen's queries took "
            f"{took_ns / NS_PER_S:.3f} s"
        )
    return None


def _of_settings(job: ScenarioJob, log: Logged) -> Iterator[str]:
    expected: dict[str, Any] = {
        "effective_scenario": TITLES[job.name],
        "effective_test_mode": "PerformanceOnly",
        "requested_min_duration_ms": job.min_duration_ms,
        "requested_min_query_count": job.min_query_count,
        **SEEDS,
    }
    if job.name == "multistream":
        expected["effective_samples_per_query"] = job.samples_per_query
    if job.name == "server":
        expected["effective_target_latency_ns"] = job.latency_bound_ns
    if job.tokens:
        expected["requested_use_token_latencies"] = True
    if job.tokens and job.name == "server":
        expected["requested_server_ttft_latency"] = job.latency_bound_ns
        expected["requested_server_tpot_latency"] = job.token_bound_ns
    if job.name != "offline":
        expected["effective_target_latency_percentile"] = job.percentile
    for key, value in expected.items():
        if log.get(key) != value:
            yield f"a log of LoadGen with {key} {log.get(key)!r}, but the job's is {value!r}"


def _duration_ns(job: ScenarioJob, log: Logged) -> float | None:
    """Return how long the queries took by LoadGen, None without its figures."""
    count = log.get("result_query_count")
    rate = log.get(RATE_KEYS.get(job.name, ""))
    mean_ns = log.get("result_mean_query_latency_ns")
    try:
        if job.name == "multistream":
            return float(count * mean_ns)  # type: ignore[operator]
        if job.name == "offline":
            # Nothing else logs how many samples its one query has.
            return NS_PER_S * float(log["generated_samples_per_query"]) / float(rate)  # type: ignore[arg-type]
        return NS_PER_S * (float(count) - 1) / float(rate)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def _latencies(log: Logged, keys: tuple[str, str]) -> ScenarioLatency:
    """Return latencies in ms; ``keys`` are templates of min, mean and max, and of the percentiles."""
    plain, percentile = keys
    found = {name: plain.format(name) for name in ("min", "mean", "max")}
    for percent in ("50", "90", "95", "97", "99"):
        found[f"p{percent}"] = percentile.format(f"{percent}.00")
    found["p99_9"] = percentile.format("99.90")
    return ScenarioLatency(
        **{name: _scaled(log.get(key), NS_PER_MS) for name, key in found.items()}
    )


def _scaled(value: Any, divisor: float = 1.0) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) / divisor if number else None
