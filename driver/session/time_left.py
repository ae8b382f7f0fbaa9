"""How long the running phase of a stage will still take, from the job's measuring times. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from driver.events import Progress
    from driver.models.job import Measure


LOADGEN = "LoadGen: "
"""How the phase of a load scenario's runs begins."""


def planned_seconds(
    phase: str, measure: Measure, repeat: int, load_s: float | None = None
) -> float | None:
    """Return how long a phase of infer or validate may take, or None if time does not end it.

    ``load_s``: the least duration of LoadGen's run, in seconds. ``repeat`` counts from 0: only the first process
    goes over the whole dataset. Warm-up may end earlier, and the core loop makes at least one pass, however long that takes.
    """
    if phase == "warm up":
        return measure.warmup_max_seconds
    if phase.startswith("core"):
        return None if measure.single_pass else measure.min_seconds
    if phase.startswith(LOADGEN):
        return load_s
    if phase == "latency":
        return measure.latency_max_seconds
    return measure.min_seconds if phase == "whole" and repeat else None


class PhaseClock:
    """Adds the time left to the progress of one stage; remembers when its phase began."""

    def __init__(self, measure: Measure, repeat: int, load_s: float | None = None) -> None:
        self._measure = measure
        self._repeat = repeat
        self._load_s = load_s
        self._phase = ""
        self._since_s = 0.0

    def with_time_left(self, progress: Progress, now_s: float) -> Progress:
        """Return the progress with ``left_s`` at the time ``now_s`` of a monotonic clock, in seconds."""
        if progress.phase != self._phase:
            self._phase, self._since_s = progress.phase, now_s
        planned = planned_seconds(progress.phase, self._measure, self._repeat, self._load_s)
        known = (progress.left_by_count(), self._timed(planned, now_s))
        return replace(progress, left_s=min((left for left in known if left), default=None))

    def _timed(self, planned: float | None, now_s: float) -> float | None:
        return None if planned is None else max(0.0, planned - (now_s - self._since_s))
