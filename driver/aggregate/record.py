"""A result as a flat row, with what tables, charts and comparisons need."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from driver.models.base import WarningCode
from driver.plan.tiers import tier_that_ran
from driver.results.concerns import marks_of, strikes
from driver.results.origin import chip_of, origin_of
from driver.results.roofline import roofline_of

if TYPE_CHECKING:
    from driver.models.result import Gate, Generation, Latency, Metrics, Result, Scenario


class Record(NamedTuple):
    """A result's identity and figures. Units are those of ``Metrics``: items/s, s, GiB, ms, percent.

    ``processor`` is set if the device is the host's processor; ``chip`` then starts with it.
    ``host`` is the host's name, ``card`` the device's serial or UUID. ``core_values`` has p_infer_core of each fresh process,
    ``time_shares`` pairs of (name, seconds). ``figure_marks`` and ``marked_figures`` are what the
    warnings say of the figures, and of which (see ``driver.results.concerns``). ``j_per_item`` and
    ``items_per_s_w`` are of the core loop whose energy was measured; the four figures after them are
    those of ``driver.results.roofline``, in operations/byte, operations/s and bytes/s.
    """

    path: str
    result_id: str
    job_id: str
    case: str
    vendor: str
    stack: str
    engine: str
    chip: str
    precision: str
    batch_size: int
    tier: str
    runner: str
    status: str
    failure_kind: str | None
    failure: str | None
    simulated: bool
    weights: str
    data: str
    started_utc: str
    finished_utc: str
    core_item: str
    p_infer_core: float | None
    p_infer_whole: float | None
    p_val_core: float | None
    p_val_whole: float | None
    e2e_time_s: float | None
    acc_infer: float | None
    acc_val: float | None
    acc_metric: str
    acc_kind: str | None
    acc_items: int | None
    gate_passed: bool | None
    gate_reference: float | None
    gate_allowed_drop: float | None
    gate_drop: float | None
    gate_reason: str | None
    mfu: float | None
    mfu_published_convention: float | None
    mem_gib: float | None
    mem_compile_gib: float | None
    mem_total_gib: float | None
    latency_p50_ms: float | None
    latency_p90_ms: float | None
    latency_p99_ms: float | None
    latency_max_ms: float | None
    latency_samples: int
    prompt_tokens: int | None
    tokens: int | None
    ttft_p50_ms: float | None
    ttft_p90_ms: float | None
    ttft_p99_ms: float | None
    tpot_ms: float | None
    p_prefill: float | None
    p_decode: float | None
    goodput: float | None
    ttft_bound_ms: float | None
    tpot_bound_ms: float | None
    kv_cache_gib: float | None
    mbu: float | None
    scenario: str | None
    scenario_valid: bool | None
    scenario_reason: str | None
    scenario_figure: float | None
    scenario_unit: str | None
    scenario_bound_ms: float | None
    scenario_token_bound_ms: float | None
    scenario_target_qps: float | None
    scenario_samples_per_s: float | None
    scenario_samples_a_call: float | None
    scenario_tokens_per_s: float | None
    scenario_ttft_p99_ms: float | None
    scenario_tpot_p99_ms: float | None
    scenario_p50_ms: float | None
    scenario_p90_ms: float | None
    scenario_p99_ms: float | None
    scenario_queries: int | None
    cosine_min: float | None
    max_abs: float | None
    energy_j: float | None
    j_per_item: float | None
    items_per_s_w: float | None
    intensity: float | None
    achieved_ops: float | None
    peak_ops: float | None
    bandwidth: float | None
    core_cv: float | None
    core_values: tuple[float, ...]
    time_shares: tuple[tuple[str, float], ...]
    warnings: tuple[str, ...]
    figure_marks: tuple[str, ...]
    marked_figures: tuple[str, ...]
    onnx_sha256: str | None
    opset: str | None
    export_batch: str | None
    weights_sha256: str | None
    dataset_sha256: str | None
    arithmetic: str | None
    clock: str | None
    in_flight: str | None
    chips: str | None
    attention: str | None
    input_kind: str | None
    commit: str | None
    driver_version: str | None
    host: str | None
    card: str | None
    threads: str | None
    options: str | None
    rerun_of: str | None
    processor: str | None
    digest: str | None
    edited: bool

    @property
    def synthetic(self) -> bool:
        """Return whether weights or data are synthetic."""
        return "synthetic" in (self.weights, self.data)

    @property
    def impossible(self) -> bool:
        """Return whether a warning says that the figures cannot be true."""
        return strikes(self.warnings)


_OF_JOB = ("case", "vendor", "stack", "engine", "precision", "batch_size")
_OF_RESULT = (
    *("status", "simulated", "weights", "data", "started_utc", "finished_utc"),
    *("core_item", "digest"),
)
_OF_METRICS = (
    *("p_infer_core", "p_infer_whole", "p_val_core", "p_val_whole", "e2e_time_s"),
    *("acc_infer", "acc_val", "acc_metric", "acc_kind", "acc_items"),
    *("mfu", "mfu_published_convention", "mem_gib", "mem_compile_gib", "mem_total_gib", "energy_j"),
)
"""Fields of a result and of its parts whose columns have the same name."""
_job_fields, _result_fields = attrgetter(*_OF_JOB), attrgetter(*_OF_RESULT)
_metric_fields = attrgetter(*_OF_METRICS)


def record_of(result: Result, path: str, *, edited: bool) -> Record:
    """Flatten a result read from ``path``; ``edited`` says that its digest does not match."""
    job, metrics, failure = result.job, result.metrics, result.failure
    core = metrics.spread.get("p_infer_core")
    marks = marks_of(result)
    return Record(
        path=path,
        result_id=f"{result.started_utc}-{job.id}",
        job_id=job.id,
        tier=_tier(result),
        runner=job.runner.value,
        failure_kind=failure.kind.value if failure else None,
        failure=failure.message if failure else None,
        cosine_min=metrics.fidelity.cosine_min if metrics.fidelity else None,
        max_abs=metrics.fidelity.max_abs if metrics.fidelity else None,
        core_cv=core.cv if core else None,
        core_values=core.values if core else (),
        time_shares=tuple((share.what, share.wall_s) for share in result.time_shares),
        warnings=tuple(warning.code.value for warning in result.warnings),
        figure_marks=marks.texts,
        marked_figures=marks.figures,
        edited=edited,
        **dict(zip(_OF_JOB, _job_fields(job), strict=True)),
        **dict(zip(_OF_RESULT, _result_fields(result), strict=True)),
        **dict(zip(_OF_METRICS, _metric_fields(metrics), strict=True)),
        **_latency(metrics.latency_ms),
        **_generation(metrics.generation),
        **_scenario(metrics.scenario),
        **_energy(metrics),
        **_roofline(result),
        **_gate(result.gate),
        **origin_of(result.provenance),
        **chip_of(result),
    )


def _tier(result: Result) -> str:
    """Return the tier of what ran; a result without figures keeps the one that was asked for."""
    core = result.metrics.spread.get("p_infer_core")
    if core is None:
        return result.job.tier.value
    short = any(warning.code == WarningCode.TOO_SHORT for warning in result.warnings)
    return tier_that_ran(result.job.tier, len(core.values), too_short=short).value


def _latency(latency: Latency) -> dict[str, Any]:
    return {
        "latency_p50_ms": latency.p50,
        "latency_p90_ms": latency.p90,
        "latency_p99_ms": latency.p99,
        "latency_max_ms": latency.max,
        "latency_samples": latency.samples,
    }


def _generation(found: Generation | None) -> dict[str, Any]:
    """Return a language model's figures; its inter-token latencies are the latencies."""
    names = (
        *("tokens", "tpot_ms", "p_prefill", "p_decode", "goodput", "ttft_bound_ms"),
        *("tpot_bound_ms", "kv_cache_gib", "mbu"),
    )
    first = found.ttft_ms if found else None
    return {
        "prompt_tokens": found.prompt if found else None,
        "ttft_p50_ms": first.p50 if first else None,
        "ttft_p90_ms": first.p90 if first else None,
        "ttft_p99_ms": first.p99 if first else None,
        **{name: getattr(found, name, None) for name in names},
    }


OF_SCENARIO = (
    *("valid", "reason", "figure", "unit", "target_qps", "samples_per_s", "samples_a_call"),
    *("tokens_per_s", "queries"),
)


def _scenario(found: Scenario | None) -> dict[str, Any]:
    """Return a load scenario's figures; those of a run that is not valid have ``scenario_valid`` false."""
    latency = found.latency_ms if found else None
    first, later = (found.ttft_ms, found.tpot_ms) if found else (None, None)
    return {
        "scenario_token_bound_ms": found.token_bound_ms if found else None,
        "scenario_ttft_p99_ms": first.p99 if first else None,
        "scenario_tpot_p99_ms": later.p99 if later else None,
        "scenario": found.name if found else None,
        "scenario_bound_ms": found.latency_bound_ms if found else None,
        **{f"scenario_{name}": getattr(found, name, None) for name in OF_SCENARIO},
        **{f"scenario_{name}_ms": getattr(latency, name, None) for name in ("p50", "p90", "p99")},
    }


ROOFLINE = ("intensity", "achieved_ops", "peak_ops", "bandwidth")


def _roofline(result: Result) -> dict[str, Any]:
    return dict(zip(ROOFLINE, roofline_of(result), strict=True))


def _energy(metrics: Metrics) -> dict[str, Any]:
    energy, items = metrics.energy_j, metrics.energy_items
    if not energy or not items:
        return {"j_per_item": None, "items_per_s_w": None}
    # (items ÷ s) ÷ (J ÷ s): the seconds of the loop cancel out.
    return {"j_per_item": energy / items, "items_per_s_w": items / energy}


def _gate(gate: Gate | None) -> dict[str, Any]:
    return {
        "gate_passed": gate.passed if gate else None,
        "gate_reference": gate.reference if gate else None,
        "gate_allowed_drop": gate.allowed_relative_drop if gate else None,
        "gate_drop": gate.drop if gate else None,
        "gate_reason": gate.reason if gate else None,
    }
