"""A sweep: the whole set planned first, run job by job, resumed with only what is missing.

A job that was measured is known by its id, which is the hash of everything it is made of: running the
same sweep again therefore runs what is missing, and what changed since.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from driver.models.base import RunnerName, Tier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from driver.models.job import JobKey
    from driver.plan import Choice

DONE = frozenset({"ok", "accuracy_failed"})
LOOPS_PER_REPEAT = 2
"""Each fresh process measures from memory and from files."""

SMOKE_S = 30.0
OVERHEAD_S = 20.0
"""Guesses for a job that nobody has run here yet: a look, and what surrounds a job's measuring."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long a job is expected to take, and whether that was measured here before."""

    seconds: float
    known: bool


def measured_before(results: Path, key: JobKey) -> Path | None:
    """Return the newest result of this very job that ended with figures, or None."""
    what = f"{key.stack}-{key.engine}-{key.precision}-bs{key.batch_size}"
    folder = results / key.case / key.vendor / what
    for path in sorted(folder.glob(f"*-{key.id}*/result.json"), reverse=True):
        document = _read(path)
        if document.get("status") in DONE and document.get("job", {}).get("id") == key.id:
            return path
    return None


def estimate(results: Path, choice: Choice) -> Estimate:
    """Return the median of what jobs of this case, vendor, engine and tier took here, else a guess."""
    folder = results / choice.case.name / choice.vendor.name
    pattern = f"{choice.stack.name}-{choice.engine_name}-*/*/result.json"
    times = []
    for path in sorted(folder.glob(pattern))[-20:]:
        document = _read(path)
        took = document.get("metrics", {}).get("e2e_time_s")
        alike = (
            document.get("status") in DONE and document.get("job", {}).get("tier") == choice.tier
        )
        if alike and isinstance(took, (int, float)):
            times.append(float(took))
    if times:
        return Estimate(seconds=median(times), known=True)
    measure = choice.measure
    if choice.tier is Tier.SMOKE:
        return Estimate(seconds=SMOKE_S, known=False)
    seconds = OVERHEAD_S + measure.repeats * measure.min_seconds * LOOPS_PER_REPEAT
    return Estimate(seconds=seconds, known=False)


def by_runner(choices: Sequence[Choice]) -> dict[RunnerName, list[Choice]]:
    """Group choices by their runner, order kept: a runner is opened once."""
    groups: dict[RunnerName, list[Choice]] = {}
    for choice in choices:
        groups.setdefault(choice.runner, []).append(choice)
    return groups


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
