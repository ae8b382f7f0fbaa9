"""Computes a job's result from its recording: figures, gate and status. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from driver.errors import EXIT_OF_KIND, EXIT_OK
from driver.models.base import Failure, FailureKind, StageName
from driver.models.result import Result
from driver.results.figures import compute_metrics, gib, measured
from driver.results.language import figures as language
from driver.results.roofline import bandwidth
from driver.results.scenarios.warnings import missed_bound
from driver.session.warnings import effective_arithmetic, impossible, warnings_of

if TYPE_CHECKING:
    from driver.models.result import Gate, Metrics
    from driver.session.recording import Recording
    from driver.system.stopwatch import Stopwatch


def make_result(recording: Recording, stopwatch: Stopwatch) -> Result:
    """Return the result of a recording, complete or not."""
    choice = recording.planned.choice
    metrics, gate = compute_metrics(
        recording.reports,
        case=choice.case.manifest,
        chip=choice.chip,
        arithmetic=effective_arithmetic(recording) or choice.precision.arithmetic,
        precision=choice.precision_name,
        latency_samples_ns=recording.latency_samples_ns,
    )
    metrics = with_generation(with_telemetry(metrics, recording), recording)
    metrics = metrics.model_copy(update={"scenario": recording.scenario})
    simulated = _simulated(recording)
    failure = recording.failure or impossible(recording, metrics)
    failure = failure or missed_bound(metrics.scenario)
    template = recording.planned.template
    e2e_time_s = stopwatch.elapsed_s()
    return Result(
        job=recording.planned.key,
        status=_status(failure, gate),
        failure=failure,
        simulated=simulated,
        weights=template.weights,
        data=template.data,
        started_utc=recording.started_utc,
        finished_utc=recording.now_utc(),
        core_item=choice.case.manifest.core_item,
        item=choice.case.manifest.item,
        metrics=metrics.model_copy(update={"e2e_time_s": e2e_time_s}),
        gate=gate,
        predictions=recording.predictions,
        stages=(*recording.records, *recording.missing_stages()),
        time_shares=stopwatch.shares(e2e_time_s),
        samples=tuple(recording.samples),
        monitor=recording.telemetry.document(),
        warnings=warnings_of(recording, metrics, simulated=simulated),
        provenance=recording.provenance
        | {
            "device_wait_s": round(recording.device_wait_s, 3),
            "monitor_wait_s": round(stopwatch.excluded_s - recording.device_wait_s, 3),
            "lock_wait_s": round(stopwatch.lock_wait_s, 3),
        },
    )


def with_telemetry(metrics: Metrics, recording: Recording) -> Metrics:
    """Fill in the monitor's figures: core loop energy, and memory that the engine did not report.

    For a part of a device the monitor reports the whole device, so nothing is filled in.
    """
    if recording.planned.choice.chip_part:
        return metrics
    seen: dict[str, float | None] = {}
    infer = next((found for found in recording.reports if found.stage is StageName.INFER), None)
    core = measured(infer, "core")
    window = recording.telemetry.window(core) if core is not None else None
    if core is not None and window is not None and window.energy_j is not None:
        seen |= {"energy_j": window.energy_j, "energy_items": core.items}
    if metrics.mem_gib is None:
        seen["mem_gib"] = gib(recording.telemetry.stage_peak_bytes(StageName.INFER))
        seen["mem_total_gib"] = gib(recording.telemetry.total_bytes())
    if metrics.mem_compile_gib is None:
        seen["mem_compile_gib"] = gib(recording.telemetry.stage_peak_bytes(StageName.COMPILE))
    return metrics.model_copy(update=seen)


def with_generation(metrics: Metrics, recording: Recording) -> Metrics:
    """Fill in a language model's figures; its MFU is prefill's, and its single calls are decode steps."""
    choice = recording.planned.choice
    spec, model, chip = choice.generation, choice.case.manifest.model, choice.chip
    if spec is None:
        return metrics
    arithmetic = effective_arithmetic(recording) or choice.precision.arithmetic
    listed = bandwidth(chip.memory_bandwidth, chip.memory_gib, metrics.mem_total_gib)
    samples = recording.generation_samples_ns
    found = language.figures(
        spec,
        model,
        batch_size=choice.batch_size,
        arithmetic=arithmetic,
        bandwidth=listed,
        samples_ns=[samples[repeat] for repeat in sorted(samples)],
    )
    mfu = language.prefill_mfu(found, spec, model, chip.peaks.get(arithmetic))
    return metrics.model_copy(
        update={
            "generation": found,
            "latency_ms": found.itl_ms,
            "mfu": mfu,
            "mfu_published_convention": None,
        }
    )


def _simulated(recording: Recording) -> bool:
    # Reports alone do not suffice: a stage that failed early may have left none.
    reported = any(report.simulated for report in recording.reports)
    return recording.stand_in or recording.telemetry.simulated or reported


def exit_code(result: Result) -> int:
    """Return the process's exit code for a result."""
    if result.failure is not None:
        return EXIT_OF_KIND[result.failure.kind]
    return EXIT_OF_KIND[FailureKind.ACCURACY] if result.status == "accuracy_failed" else EXIT_OK


def _status(
    failure: Failure | None, gate: Gate | None
) -> Literal["ok", "accuracy_failed", "failed"]:
    if failure is not None:
        return "failed"
    return "accuracy_failed" if gate is not None and gate.passed is False else "ok"
