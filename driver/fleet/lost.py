"""The result of a job that left none itself: what happened to it, and that the chip had no part in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver import __version__
from driver.models.base import Failure, RunnerName, StageName
from driver.models.job import JobKey
from driver.models.result import Metrics, Result, StageRecord
from driver.results.store import result_folder, utc_now, write_result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from driver.models.sweep import SweepTask
    from driver.plan.choice import Choice

ID_CHARACTERS = 16


def write_lost(
    results: Path,
    task: SweepTask,
    choice: Choice,
    failure: Failure,
    *,
    runner: RunnerName | None,
    provenance: Mapping[str, Any],
) -> Path:
    """Write the result of a task that was ended from outside; return its path."""
    key = JobKey(
        id=task.key[:ID_CHARACTERS],
        case=choice.case.name,
        vendor=choice.vendor.name,
        stack=choice.stack.name,
        engine=choice.engine_name,
        chip=choice.chip_name,
        precision=choice.precision_name,
        batch_size=choice.batch_size,
        tier=choice.tier,
        runner=runner or choice.runner,
    )
    now = utc_now()
    result = Result(
        job=key,
        status="failed",
        failure=failure,
        weights="synthetic" if choice.request.weights == "synthetic" else "published",
        data="synthetic" if choice.request.data == "synthetic" else "real",
        started_utc=now,
        finished_utc=now,
        core_item=choice.case.manifest.core_item,
        metrics=Metrics(acc_metric=choice.case.manifest.metric.name),
        stages=tuple(StageRecord(name=stage, status="not_run") for stage in StageName),
        provenance={"assay": __version__, **provenance},
    )
    return write_result(result_folder(results, key), result)
