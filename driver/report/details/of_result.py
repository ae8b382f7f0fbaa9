"""The details of one row: provenance, stages, warnings, latency quantiles and the monitor's series."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from driver.aggregate.reading import Unusable, read_result
from driver.audit.reading import audit_of
from driver.rerun.reading import read_rerun
from driver.system.untrusted.arrays import read_samples
from driver.system.untrusted.opener import RefusedFile, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from driver.models.base import Warn
    from driver.models.result import Result, StageRecord

QUANTILES = (*range(0, 100, 5), 99, 99.9, 100)
MONITOR_POINTS = 60
"""Points kept of a time series: as many as a chart on a phone can show."""


def details(
    path: str, *, with_series: bool, opening: Callable[[str], object] = lambda _path: None
) -> dict[str, Any]:
    """Return the details of one result, or ``{"gone": <reason>}`` if it can no longer be read.

    ``opening`` is called with the path of a file of samples before it is read.
    """
    try:
        result, _ = read_result(path)
    except Unusable as reason:
        return {"gone": str(reason)}
    found: dict[str, Any] = {
        "failure": msgspec.to_builtins(result.failure),
        "warnings": [_warning(warning) for warning in result.warnings],
        "stages": [[_stage_name(stage), stage.status, stage.wall_s] for stage in result.stages],
        "provenance": result.provenance,
        "rerun": _rerun(Path(path)) if "rerun_of" in result.provenance else [],
        "audit": _audit(path, result.digest),
        "digest": result.digest,
        "finished": result.finished_utc,
        "acc_also": result.metrics.acc_also,
        "energy_j": result.metrics.energy_j,
        "published_mfu": result.metrics.mfu_published_convention,
    }
    if with_series:
        found["latency"] = _latency_quantiles(result, Path(path).parent, opening)
        found["monitor"] = _monitor_series(result.monitor)
    return found


def _rerun(path: Path) -> list[list[str]]:
    """Return the verdict of a rerun, its figures and its differences as pairs of name and text."""
    found = read_rerun(path)
    if found is None:
        return [["verdict", "none: rerun.json is missing or damaged"]]
    sides = f"original {(found.original.digest or '?')[:12]} of {found.original.started_utc}"
    return [
        ["verdict", f"{found.kind}: {found.outcome}; {sides}"],
        *([one.name, f"{one.outcome} ({one.reason})"] for one in found.figures),
        *(
            [one.what, f"{one.original}, here {one.rerun} ({one.weight})"]
            for one in found.differences
        ),
    ]


def _audit(path: str, digest: str | None) -> list[list[str]]:
    """Return the verdict of the result's audit and its checks as pairs of name and text; [] without one."""
    found = audit_of(path, digest)
    if found is None:
        return []
    verdict = f"{found.verdict}; measured by {found.run[:12]}"
    return [
        ["verdict", verdict],
        *([one.name, f"{one.verdict} ({one.reason})"] for one in found.checks),
        *(["earlier", f"{one.verdict}; measured by {one.run[:12]}"] for one in found.earlier),
    ]


def _stage_name(stage: StageRecord) -> str:
    return f"{stage.name.value} {stage.repeat + 1}" if stage.repeat else stage.name.value


def _warning(warning: Warn) -> list[str]:
    return [warning.code.value, warning.message, warning.remedy]


def _latency_quantiles(
    result: Result, folder: Path, opening: Callable[[str], object]
) -> list[float] | None:
    """Return the QUANTILES of the latency samples in ms, or None if no samples can be read."""
    import numpy as np

    sample = next((file for file in result.samples if file.name.endswith("latency")), None)
    if sample is None:
        return None
    try:
        path = folder / sample.file
        if not path.resolve().is_relative_to(folder.resolve()):
            return None
        opening(str(path))
        values = read_samples(path.parent, path.name, source=Source.USER)
        quantiles = np.percentile(values, QUANTILES, method="inverted_cdf") / 1e6
    except (RefusedFile, OSError, ValueError, IndexError, TypeError):
        return None
    return [float(f"{value:.5g}") for value in quantiles]


def _monitor_series(monitor: dict[str, Any] | None) -> dict[str, list[float | None]] | None:
    """Return time (s), and memory (GiB) and power (W) summed over the devices, evenly thinned."""
    samples = list(_monitor_samples(monitor))
    if len(samples) < 2:
        return None
    step = max(1, math.ceil(len(samples) / MONITOR_POINTS))
    kept = samples[::step]
    return {
        "t_s": [time for time, _, _ in kept],
        "memory_gib": [memory for _, memory, _ in kept],
        "power_w": [power for _, _, power in kept],
    }


def _monitor_samples(
    monitor: dict[str, Any] | None,
) -> Iterator[tuple[float, float | None, float | None]]:
    samples = monitor.get("samples") if isinstance(monitor, dict) else None
    for sample in samples if isinstance(samples, list) else ():
        if not isinstance(sample, dict) or not isinstance(sample.get("t_s"), int | float):
            continue
        listed = sample.get("devices")
        found = listed if isinstance(listed, list) else []
        devices = [device for device in found if isinstance(device, dict)]
        memory = _total(devices, "memory_used_bytes")
        yield (
            round(float(sample["t_s"]), 2),
            None if memory is None else round(memory / 2**30, 3),
            _total(devices, "power_w"),
        )


def _total(devices: list[dict[str, Any]], name: str) -> float | None:
    values = [device[name] for device in devices if isinstance(device.get(name), int | float)]
    return round(sum(values), 2) if values else None
