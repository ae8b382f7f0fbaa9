"""The result of a job that was ended from outside: what happened, and that the chip had no part in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from driver import __version__
from driver.models.base import Failure, StageName
from driver.models.result import Metrics, Result, StageRecord
from driver.results.store import result_folder, utc_now, write_result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from driver.models.job import JobKey
    from driver.plan.choice import Choice


def write_lost(
    results: Path,
    job: JobKey,
    choice: Choice,
    failure: Failure,
    provenance: Mapping[str, Any],
) -> Path:
    """Write the result of ``job``, which left none itself; return its path.

    ``job`` is what its node planned: a later result of the same job replaces this one in reports.
    """
    now = utc_now()
    case = choice.case.manifest
    result = Result(
        job=job,
        status="failed",
        failure=failure,
        weights="synthetic" if choice.request.weights == "synthetic" else "published",
        data="synthetic" if choice.request.data == "synthetic" else "real",
        started_utc=now,
        finished_utc=now,
        item=case.item,
        core_item=case.core_item,
        metrics=Metrics(acc_metric=case.metric.name),
        stages=tuple(StageRecord(name=stage, status="not_run") for stage in StageName),
        provenance={"assay": __version__, **provenance},
    )
    return write_result(result_folder(results, job), result)
