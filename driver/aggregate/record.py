"""One result as a flat row: what tables, charts and comparisons need of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.models.result import Gate, Latency, Result

PROVENANCE: dict[str, tuple[tuple[str, ...], ...]] = {
    "onnx_sha256": (("export", "onnx_sha256"),),
    "opset": (("export", "opset"),),
    "export_batch": (("export", "batch"),),
    "weights_sha256": (("weights", "digest"),),
    "dataset_sha256": (("dataset", "sha256"),),
    "arithmetic": (("effective", "infer", "arithmetic"), ("arithmetic",)),
    "clock": (("core", "clock"),),
    "in_flight": (("core", "in_flight"), ("effective", "infer", "in_flight")),
    "chips": (("chips",),),
    "attention": (("export", "attention"),),
    "input_kind": (("dataset", "input"), ("input",)),
    "commit": (("commit",),),
}
"""Where provenance keeps what decides on comparability: column → paths, the first found counts."""


class Record(NamedTuple):
    """A result's figures and identity. Units as in ``Metrics``: items/s, s, GiB, ms, percent.

    ``core_values`` are p_infer_core of each fresh process; ``time_shares`` are (what, seconds).
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
    cosine_min: float | None
    max_abs: float | None
    energy_j: float | None
    core_cv: float | None
    core_values: tuple[float, ...]
    time_shares: tuple[tuple[str, float], ...]
    warnings: tuple[str, ...]
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
    digest: str | None
    edited: bool

    @property
    def synthetic(self) -> bool:
        """Say whether weights or data are made up."""
        return "synthetic" in (self.weights, self.data)


_OF_JOB = ("case", "vendor", "stack", "engine", "chip", "precision", "batch_size")
_OF_RESULT = (
    *("status", "simulated", "weights", "data", "started_utc", "finished_utc"),
    *("core_item", "digest"),
)
_OF_METRICS = (
    *("p_infer_core", "p_infer_whole", "p_val_core", "p_val_whole", "e2e_time_s"),
    *("acc_infer", "acc_val", "acc_metric", "acc_kind", "acc_items"),
    *("mfu", "mfu_published_convention", "mem_gib", "mem_compile_gib", "mem_total_gib", "energy_j"),
)
"""Members of a result, and of its parts, whose columns have the same name."""


def record_of(result: Result, path: str, *, edited: bool) -> Record:
    """Flatten a result that was read from ``path``."""
    job, metrics, failure = result.job, result.metrics, result.failure
    core = metrics.spread.get("p_infer_core")
    return Record(
        path=path,
        result_id=f"{result.started_utc}-{job.id}",
        job_id=job.id,
        tier=job.tier.value,
        runner=job.runner.value,
        failure_kind=failure.kind.value if failure else None,
        failure=failure.message if failure else None,
        cosine_min=metrics.fidelity.cosine_min if metrics.fidelity else None,
        max_abs=metrics.fidelity.max_abs if metrics.fidelity else None,
        core_cv=core.cv if core else None,
        core_values=core.values if core else (),
        time_shares=tuple((share.what, share.wall_s) for share in result.time_shares),
        warnings=tuple(warning.code.value for warning in result.warnings),
        edited=edited,
        **{name: getattr(job, name) for name in _OF_JOB},
        **{name: getattr(result, name) for name in _OF_RESULT},
        **{name: getattr(metrics, name) for name in _OF_METRICS},
        **_latency(metrics.latency_ms),
        **_gate(result.gate),
        **_origin(result.provenance),
    )


def _latency(latency: Latency) -> dict[str, Any]:
    return {
        "latency_p50_ms": latency.p50,
        "latency_p90_ms": latency.p90,
        "latency_p99_ms": latency.p99,
        "latency_max_ms": latency.max,
        "latency_samples": latency.samples,
    }


def _gate(gate: Gate | None) -> dict[str, Any]:
    return {
        "gate_passed": gate.passed if gate else None,
        "gate_reference": gate.reference if gate else None,
        "gate_allowed_drop": gate.allowed_relative_drop if gate else None,
        "gate_drop": gate.drop if gate else None,
        "gate_reason": gate.reason if gate else None,
    }


def _origin(provenance: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _found(provenance, paths) for name, paths in PROVENANCE.items()}


def _found(provenance: Mapping[str, Any], paths: tuple[tuple[str, ...], ...]) -> str | None:
    """Return the first of the paths that leads to a scalar, as text."""
    for path in paths:
        value: Any = provenance
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str | int | float):
            return str(value)
    return None
