"""Earlier results of this machine, with which a sweep skips finished jobs and estimates the others.

A job's id is the hash of all its inputs, so a job with any changed input counts as missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from driver.models.base import RunnerName, Tier
from driver.models.result import Result
from driver.results.concerns import marks_of
from driver.results.store import job_folder
from driver.system.hashing import canonical_digest
from driver.system.untrusted.documents import read_json
from driver.system.untrusted.opener import RefusedFile, Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from driver.models.job import JobKey
    from driver.plan.choice import Choice

DONE = frozenset({"ok", "accuracy_failed"})
LOOPS_PER_REPEAT = 2
"""Each process runs two loops: from memory and from files."""

RESULT_BYTES = 64 << 20
SMOKE_S = 30.0
OVERHEAD_S = 20.0
"""Guesses for a job that never ran here: the time of a smoke run, and the time besides measuring."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long a job should take; ``known`` says that it is based on earlier results."""

    seconds: float
    known: bool


@dataclass(frozen=True, kw_only=True)
class Before:
    """The newest result of a job that ended with figures.

    ``marks`` are what its warnings say of the figures. ``again`` means that one of them may go away
    if the job is measured again, and that this was not tried: no second measurement has one too.
    """

    path: Path
    marks: tuple[str, ...] = ()
    again: bool = False


def measured_before(results: Path, key: JobKey) -> Before | None:
    """Return the newest result of this very job, or None if none ended with figures.

    A file that is no valid result, or was edited after it was written, does not count.
    """
    folder = job_folder(results, key)
    paths = sorted(folder.glob(f"*-{key.id}*/result.json"), reverse=True)
    done = ((path, result) for path in paths if (result := _with_figures(path, key)) is not None)
    newest = next(done, None)
    if newest is None:
        return None
    marks = marks_of(newest[1])
    earlier = next(done, None) if marks.again else None
    tried = earlier is not None and marks_of(earlier[1]).again
    return Before(path=newest[0], marks=marks.texts, again=marks.again and not tried)


def _with_figures(path: Path, key: JobKey) -> Result | None:
    document = _read(path)
    try:
        result = Result.model_validate(document)
    except ValidationError:
        return None
    digest = document.pop("digest", None)
    whole = digest == canonical_digest(document)
    return result if whole and result.status in DONE and result.job.id == key.id else None


def estimate(results: Path, choice: Choice) -> Estimate:
    """Return the median time of jobs of this case, vendor, engine and tier, or a guess if none ran."""
    folder = results / choice.case.name / choice.vendor.name
    pattern = f"{choice.stack.name}-{choice.engine_name}-*/*/result.json"
    times = []
    for path in sorted(folder.glob(pattern))[-20:]:
        document = _read(path)
        metrics, job = document.get("metrics"), document.get("job")
        if document.get("status") not in ("ok", "accuracy_failed"):
            continue
        if not isinstance(metrics, dict) or not isinstance(job, dict):
            continue
        took = metrics.get("e2e_time_s")
        if job.get("tier") == choice.tier and isinstance(took, (int, float)):
            times.append(float(took))
    if times:
        return Estimate(seconds=median(times), known=True)
    measure = choice.measure
    if choice.tier is Tier.SMOKE:
        return Estimate(seconds=SMOKE_S, known=False)
    seconds = OVERHEAD_S + measure.repeats * measure.min_seconds * LOOPS_PER_REPEAT
    return Estimate(seconds=seconds, known=False)


def by_runner(choices: Sequence[Choice]) -> dict[RunnerName, list[Choice]]:
    """Group choices by runner, in order, so that each runner is opened once."""
    groups: dict[RunnerName, list[Choice]] = {}
    for choice in choices:
        groups.setdefault(choice.runner, []).append(choice)
    return groups


def _read(path: Path) -> dict[str, Any]:
    try:
        document = read_json(path.parent, path.name, RESULT_BYTES, source=Source.USER)
    except (RefusedFile, OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
