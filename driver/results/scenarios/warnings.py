"""What a load scenario's result warns of, and when it fails the job. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.base import Failure, FailureKind, StageName, Warn, WarningCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driver.models.result import Metrics, Scenario

BEYOND_CORE = 0.10
"""By which share LoadGen's rate may exceed the core loop's; MLPerf's TEST01 and TEST04 allow as much."""
BELOW = 0.95
"""A rate that is suggested, as a share of one that held: it is rounded."""
ROOM = 1.5
"""A bound that is suggested, as a multiple of a latency that was measured."""


def scenario_warnings(metrics: Metrics) -> Iterator[Warn | None]:
    """Yield the warnings of a job's load scenario."""
    if metrics.scenario is not None:
        yield invalid(metrics.scenario)
        yield exceeds_core(metrics.scenario, metrics.p_infer_core)


def invalid(found: Scenario) -> Warn | None:
    """Warn that LoadGen calls the run invalid, in its own words."""
    if found.valid:
        return None
    return Warn(
        code=WarningCode.SCENARIO_INVALID,
        message=f"LoadGen: the {found.name} run is INVALID. {found.reason}",
        remedy="a smoke run is too short for most scenarios: use TIER=standard; else follow LoadGen's words",
    )


def exceeds_core(found: Scenario, core: float | None) -> Warn | None:
    """Warn if LoadGen, which repeats its samples, got more items/s than the core loop, which never does.

    An engine that schedules sequences may be faster where they do not begin together: then its rate under a steady
    load of fresh prompts counts, if that is the higher one.
    """
    # The core loop of a language model counts tokens.
    rate = found.samples_per_s if found.tokens_per_s is None else found.tokens_per_s
    if found.name == "server" and not found.valid:
        return None  # it may have answered a handful of queries
    if core is not None:
        core = max(core, found.fresh_tokens_per_s or 0.0)
    if rate is None or core is None or rate <= (1 + BEYOND_CORE) * core:
        return None
    return Warn(
        code=WarningCode.SCENARIO_EXCEEDS_CORE,
        message=f"{rate:.4g} items/s with LoadGen, which repeats its samples, but {core:.4g} items/s in the core "
        "loop, whose inputs are always fresh",
        remedy="repeat on an idle machine with TIER=standard; if it persists, the engine remembers outputs: make "
        "audit RESULT=<this result>",
    )


def missed_bound(found: Scenario | None) -> Failure | None:
    """Return the failure of a server whose bound no rate keeps, or not the one that was asked for."""
    if found is None or found.name != "server" or not found.tried:
        return None
    bounds = (found.latency_bound_ms, found.token_bound_ms)
    bound = ",".join(f"{one:g}ms" for one in bounds if one is not None)
    percent = f"{found.percentile:g} %"
    if found.best_qps is None:
        lowest = min(found.tried, key=lambda one: one.rate)
        reached = max(lowest.latency_ns / 1e6, found.alone_ms)
        return _failure(
            f"no rate keeps LATENCY_BOUND={bound} for {percent} of the queries: a query alone takes "
            f"{found.alone_ms:.3g} ms, and at the lowest rate that was tried, {lowest.rate:.3g} queries/s, {percent} "
            f"take at most {lowest.latency_ns / 1e6:.3g} ms",
            f"for example LATENCY_BOUND={_suggested(found, ROOM * reached)}, a smaller BS, or a faster engine",
        )
    asked = found.tried[0]
    if found.searched or asked.met:
        return None
    return _failure(
        f"TARGET_QPS={asked.rate:g} misses LATENCY_BOUND={bound}: {percent} of the queries take at most "
        f"{asked.latency_ns / 1e6:.3g} ms; the highest rate found that keeps it is {found.best_qps:.4g} queries/s",
        f"TARGET_QPS={_rounded(BELOW * found.best_qps)}, or leave it out and let the highest rate be searched",
    )


def _suggested(found: Scenario, reached_ms: float) -> str:
    """Return a bound to try; of a language model, twice what it has."""
    if found.token_bound_ms is None or found.latency_bound_ms is None:
        return f"{_rounded(reached_ms)}ms"
    return f"{2 * found.latency_bound_ms:g}ms,{2 * found.token_bound_ms:g}ms"


def _rounded(value: float) -> str:
    """Return a number with two digits, never as a power of ten."""
    return f"{float(f'{value:.2g}'):g}"


def _failure(message: str, remedy: str) -> Failure:
    return Failure(kind=FailureKind.INFER, stage=StageName.INFER, message=message, remedy=remedy)
