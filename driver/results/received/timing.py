"""Holds the loops of a stage to the driver's clock, by the answers that the stage gave while it ran. Pure.

An answer bounds the moment at which the guest's clock was read: after the question, before its arrival. Two answers
bound how fast that clock runs, and a busy machine only widens the bounds. A stage is at fault only for
what lies outside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from driver.results.figures import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from driver.models.report import Measurement, StageReport
    from driver.results.received.clock import Reading

SHARE = 0.01
"""By how much a loop's wall time may differ from the driver's, both ways."""
NEAR_NS, NEAR_SHARE = 1_000_000_000, 0.1
"""How far from a loop's begin and end an answer may be that tells the time there."""
ARMED_NS = 500_000_000
"""A loop that has ended is still said to run until its thread gets the processor again, at most this long."""
BUSY = "~"


class Timed(NamedTuple):
    """A loop's wall time by the guest's clock, and the least and the most that it is by the driver's."""

    guest_s: float
    least_s: float
    most_s: float

    def document(self) -> dict[str, float]:
        """Return it for the result: both durations, and how closely the driver's is known."""
        return {
            "guest_s": round(self.guest_s, 6),
            "driver_s": round((self.least_s + self.most_s) / 2, 6),
            "within_s": round((self.most_s - self.least_s) / 2, 6),
        }


class Clocked:
    """The loops of a stage, and the answers that the stage gave while it ran.

    A hook that times itself need not answer; one that does is held to the clock as the harness is.
    """

    def __init__(self, report: StageReport, readings: Sequence[Reading]) -> None:
        self._loops = [loop for loop in report.measurements if loop.clock != "vendor-tool"]
        self._readings = readings
        self._timed = {loop.name: timed(loop, readings) for loop in self._loops}

    def document(self) -> dict[str, Any]:
        """Return what the result says: each loop by both clocks, and those that could not be checked."""
        loops = {name: one.document() for name, one in self._timed.items() if one is not None}
        ours = (loop.name for loop in self._loops if loop.clock == "harness")
        unchecked = [name for name in ours if self._timed[name] is None]
        return {"answers": len(self._readings), "loops": loops, "unchecked": unchecked}

    def contradiction(self, *, single_pass: bool) -> str | None:
        """Return what cannot be true by the driver's clock, None if nothing is.

        ``single_pass``: the core loop is calls of the whole loop, with gaps between them.
        """
        for loop in self._loops:
            found = _of_rate(loop, self._timed[loop.name])
            gaps = loop.name == "latency" or (single_pass and loop.name == "core")
            if found is None and not gaps:
                found = _of_place(loop, self._readings)
            if found is not None:
                return found
        return None


def timed(loop: Measurement, readings: Iterable[Reading]) -> Timed | None:
    """Return a loop by both clocks, None without an answer near its begin and its end."""
    if loop.started_ns is None:
        return None
    begin_ns, end_ns = loop.started_ns, loop.started_ns + loop.wall_ns
    near_ns, quarter_ns = max(NEAR_NS, NEAR_SHARE * loop.wall_ns), loop.wall_ns / 4
    readings = tuple(readings)
    first = _quickest(
        one
        for one in readings
        if abs(one.guest_ns - begin_ns) <= near_ns and one.guest_ns <= begin_ns + quarter_ns
    )
    last = _quickest(
        one
        for one in readings
        if abs(one.guest_ns - end_ns) <= near_ns and one.guest_ns >= end_ns - quarter_ns
    )
    if first is None or last is None:
        return None
    per_ns = loop.wall_ns / (last.guest_ns - first.guest_ns) / NS_PER_S
    return Timed(
        loop.wall_ns / NS_PER_S,
        max(0, last.asked_ns - first.heard_ns) * per_ns,
        (last.heard_ns - first.asked_ns) * per_ns,
    )


def _quickest(readings: Iterable[Reading]) -> Reading | None:
    return min(readings, key=lambda one: one.width_ns, default=None)


def _of_rate(loop: Measurement, found: Timed | None) -> str | None:
    if found is None:
        return None
    if found.least_s > (1 + SHARE) * found.guest_s:
        bound = f"at least {found.least_s:.3f} s"
    elif (1 + SHARE) * found.most_s < found.guest_s:
        bound = f"at most {found.most_s:.3f} s"
    else:
        return None
    return f"a {loop.name} loop of {found.guest_s:.3f} s, which took {bound} by the driver's clock"


def _of_place(loop: Measurement, readings: Sequence[Reading]) -> str | None:
    """Return that the loop ran while the report says that it did not, or the other way round."""
    if loop.started_ns is None:
        return None
    begin_ns, end_ns = loop.started_ns, loop.started_ns + loop.wall_ns
    outside = (max(begin_ns - at, at - end_ns) for at in _when(readings, loop.name, ran=True))
    inside = (min(at - begin_ns, end_ns - at) for at in _when(readings, loop.name, ran=False))
    for said, missed_ns in (
        ("ran", max(outside, default=0)),
        ("did not run", max(inside, default=0)),
    ):
        if missed_ns > max(ARMED_NS, SHARE * loop.wall_ns):
            return (
                f"a {loop.name} loop of {loop.wall_ns / NS_PER_S:.3f} s, but by its answers it "
                f"{said} {missed_ns / NS_PER_S:.3f} s from where that begins or ends"
            )
    return None


def _when(readings: Iterable[Reading], name: str, *, ran: bool) -> Iterator[int]:
    """Yield when, by the guest's clock, it said that the loop ran, or that it did not."""
    return (one.guest_ns for one in readings if one.loop != BUSY and (one.loop == name) is ran)
