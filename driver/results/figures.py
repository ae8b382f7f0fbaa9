"""Computes figures from the guest's measurements. Pure; one definition for all vendors (docs/figures.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.base import StageName
from driver.models.result import Gate, Latency, Metrics, Spread
from driver.results.gate import apply_gate
from driver.results.statistics import latency, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from driver.models.case import CaseManifest
    from driver.models.report import Accuracy, Measurement, Memory, StageReport
    from driver.models.vendor import ChipSpec

GIB = 1 << 30
NS_PER_S = 1e9
OPERATIONS_PER_MAC = 2


def throughput(measurement: Measurement) -> float:
    """Return items per second: items ÷ wall time of the loop, which is in ns."""
    return measurement.items / (measurement.wall_ns / NS_PER_S)


def measured(report: StageReport | None, name: str) -> Measurement | None:
    """Return the loop called ``name`` of a stage, or None if the stage has none."""
    if report is None:
        return None
    return next((found for found in report.measurements if found.name == name), None)


def mfu(
    macs: int, p_core: float | None, peak: float | None, *, operations_per_mac: int
) -> float | None:
    """Return model FLOPs utilisation in percent, or None if the throughput or the peak is unknown.

    ``macs`` are per core item, ``p_core`` is in core items/s, ``peak`` is the dense operations/s of
    the chip.
    """
    if p_core is None or not peak:
        return None
    return 100.0 * operations_per_mac * macs * p_core / peak


def compute_metrics(
    reports: Sequence[StageReport],
    *,
    case: CaseManifest,
    chip: ChipSpec,
    arithmetic: str,
    precision: str,
    latency_samples_ns: NDArray[np.int64] | None = None,
) -> tuple[Metrics, Gate | None]:
    """Return every figure that the stage reports allow (None for the others), and the accuracy gate.

    ``latency_samples_ns`` has shape [N], one single call each. The gate is None without a score stage.
    """
    infers = [report for report in reports if report.stage is StageName.INFER]
    score = _last(reports, StageName.SCORE)
    compiled = _last(reports, StageName.COMPILE)
    found_spreads = spreads(reports)
    core = found_spreads["p_infer_core"].median if "p_infer_core" in found_spreads else None
    infer_accuracy = score.accuracy.get("infer") if score else None
    validate_accuracy = score.accuracy.get("validate") if score else None
    memory = _largest([report.memory for report in infers])
    compile_memory = compiled.memory if compiled else None
    metrics = Metrics(
        **{name: found.median for name, found in found_spreads.items()},
        acc_infer=_value(infer_accuracy, case.metric.name),
        acc_val=_value(validate_accuracy, case.metric.name),
        acc_metric=case.metric.name,
        acc_kind=infer_accuracy.kind if infer_accuracy else None,
        acc_items=infer_accuracy.items if infer_accuracy else None,
        acc_also=_others(infer_accuracy, case.metric.name),
        mfu=mfu(
            case.model.macs, core, chip.peaks.get(arithmetic), operations_per_mac=OPERATIONS_PER_MAC
        ),
        mfu_published_convention=mfu(
            case.model.macs_published or case.model.macs,
            core,
            chip.published_peaks.get(precision),
            operations_per_mac=1,
        ),
        mem_gib=gib(memory.peak_bytes if memory else None),
        mem_compile_gib=gib(compile_memory.peak_bytes if compile_memory else None),
        mem_total_gib=gib(memory.total_bytes if memory else None),
        latency_ms=Latency() if latency_samples_ns is None else latency(latency_samples_ns),
        fidelity=score.fidelity if score else None,
        core_fidelity=score.core_fidelity if score else None,
        spread=found_spreads,
    )
    return metrics, apply_gate(case, metrics, arithmetic) if score else None


def spreads(reports: Sequence[StageReport]) -> dict[str, Spread]:
    """Return every throughput that the stage reports allow, items/s, one value a process."""
    infers = [report for report in reports if report.stage is StageName.INFER]
    validate = _last(reports, StageName.VALIDATE)
    series = {
        "p_infer_core": [measured(report, "core") for report in infers],
        "p_infer_whole": [measured(report, "whole") for report in infers],
        "p_val_core": [measured(validate, "core")],
        "p_val_whole": [measured(validate, "whole")],
    }
    found = {}
    for name, loops in series.items():
        values = [throughput(loop) for loop in loops if loop is not None]
        if values:
            found[name] = spread(values)
    return found


def _last(reports: Sequence[StageReport], stage: StageName) -> StageReport | None:
    return next((report for report in reversed(reports) if report.stage is stage), None)


def _value(accuracy: Accuracy | None, metric: str) -> float | None:
    return accuracy.values.get(metric) if accuracy else None


def _others(accuracy: Accuracy | None, metric: str) -> dict[str, float]:
    if accuracy is None:
        return {}
    return {name: value for name, value in accuracy.values.items() if name != metric}


def _largest(memories: Sequence[Memory | None]) -> Memory | None:
    known = [memory for memory in memories if memory is not None and memory.peak_bytes is not None]
    return max(known, key=lambda memory: memory.peak_bytes or 0, default=None)


def gib(size_bytes: int | None) -> float | None:
    """Convert bytes to GiB; None stays None."""
    return None if size_bytes is None else size_bytes / GIB
