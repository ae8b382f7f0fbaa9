"""The core loop and its warm-up, over inputs that are already in host memory."""

import array
import collections
from typing import Any, Callable, Deque, Dict, Optional, Tuple

import numpy as np

from harness import clock
from harness.engine import Engine, Phases
from harness.inputs.core_pool import Feed
from harness.job import Arrays, Measure
from harness.outputs.core_samples import CoreSamples
from harness.outputs.progress import ProgressFile

#: (calls submitted so far, nanoseconds since the start) → whether to submit another call.
More = Callable[[int, int], bool]

#: A warm-up window lasts at least this long; shorter ones of fast models would compare noise.
WINDOW_NS = 100000000
#: Calls below this are posted ahead: a process that waits for each message would idle between them.
SHORT_CALL_NS = 100000000
#: As many calls are posted ahead as take this long: more would only need memory.
AHEAD_NS = 64000000
#: One pass over the batches may take this long (or min_seconds); slower models make fewer calls.
PASS_SECONDS = 10.0


class LoopRun:
    """One run of batches through the engine: start, completion times, the last call."""

    def __init__(self) -> None:
        self.started_ns = 0
        self.completed_ns: "array.array[int]" = array.array("q")
        self.last: Optional[Tuple[Arrays, Arrays]] = None  # (inputs, outputs)
        self.phases_ns = [0, 0, 0]
        self.knows_phases = True

    @property
    def calls(self) -> int:
        """Batches that completed."""
        return len(self.completed_ns)

    @property
    def wall_ns(self) -> int:
        """From the first submission to the last output in host memory."""
        return self.completed_ns[-1] - self.started_ns

    def samples_ns(self) -> np.ndarray:
        """Time between completions, the first one from the start; one per call."""
        return np.diff(np.array(self.completed_ns, np.int64), prepend=self.started_ns)

    def add_phases(self, phases: Phases) -> None:
        """Add one call's (h2d, compute, d2h); one unknown part makes all phases unknown."""
        for part, value in enumerate(phases):
            if value is None:
                self.knows_phases = False
            else:
                self.phases_ns[part] += int(value)


def drive(
    engine: Engine,
    feed: Feed,
    depth: int,
    more: More,
    progress: Optional[ProgressFile] = None,
    samples: Optional[CoreSamples] = None,
) -> LoopRun:
    """Keep ``depth`` batches in flight while ``more`` asks for another call, then drain.

    Waiting is up to the engine, which sleeps. ``samples`` keeps the calls that it chooses.
    """
    run = LoopRun()
    run.knows_phases = engine.time_phases(True)
    tickets: Deque[Tuple[Arrays, Any]] = collections.deque()
    submitted = 0
    run.started_ns = now = clock.now_ns()
    if progress is not None:
        progress.loop_began("core")
    while True:
        if more(submitted, now - run.started_ns):
            inputs = feed.take()
            tickets.append((inputs, engine.submit(inputs)))
            submitted += 1
            if len(tickets) < depth:
                continue
        elif not tickets:
            engine.time_phases(False)
            return run
        inputs, ticket = tickets.popleft()
        outputs = engine.wait(ticket)
        now = clock.now_ns()
        run.completed_ns.append(now)
        run.last = (inputs, outputs)
        if run.knows_phases:
            run.add_phases(engine.phases(ticket))
        if samples is not None and run.calls == samples.next_call:
            samples.keep(inputs, outputs)
        feed.release()
        if progress is not None:
            progress.done = run.calls


class WarmUp:
    """The calls before the core loop: the first call by itself, then windows until two agree."""

    def __init__(self) -> None:
        self.calls = 1
        self.wall_ns = 0
        self.first_call_ns = 0
        self.first_outputs: Optional[Arrays] = None
        self.steady = False
        self.call_ns = 0  # wall time per call in the last window

    def document(self) -> Dict[str, Any]:
        """The warm-up as an object of report.json."""
        return {
            "calls": self.calls,
            "wall_ns": self.wall_ns,
            "first_call_ns": self.first_call_ns,
            "steady": self.steady,
        }


def warm_up(engine: Engine, feed: Feed, measure: Measure) -> WarmUp:
    """Run until the medians of two successive windows agree within steady_tolerance, or time is up."""
    warm = WarmUp()
    started = clock.now_ns()
    first = engine.wait(engine.submit(feed.first()))
    warm.wall_ns = warm.first_call_ns = warm.call_ns = clock.now_ns() - started
    warm.first_outputs = _kept(first) if engine.reuses_outputs else first
    depth = engine.in_flight
    calls = max(measure.warmup_min_calls, 2 * depth)
    limit_ns = int(measure.warmup_max_seconds * clock.NS_PER_S)
    previous: Optional[float] = None
    while not warm.steady and warm.wall_ns < limit_ns:
        left = limit_ns - warm.wall_ns
        run = drive(engine, feed, depth + ahead(engine, feed, warm), _window(calls, left))
        median = _median_ns(run, depth)
        warm.steady = (
            previous is not None and abs(median - previous) <= measure.steady_tolerance * previous
        )
        previous = median
        warm.calls += run.calls
        warm.call_ns = run.wall_ns // run.calls
        warm.wall_ns = clock.now_ns() - started
    return warm


def ahead(engine: Engine, feed: Feed, warm: WarmUp) -> int:
    """Batches to post beyond the engine's own in_flight: none where a call takes long, more of shorter ones."""
    if warm.call_ns >= SHORT_CALL_NS:
        return 0
    wanted = max(1, AHEAD_NS // max(1, warm.call_ns))
    return max(0, min(engine.ahead, wanted, feed.most_out - engine.in_flight))


def calls_of_a_pass(distinct: int, warm: WarmUp, measure: Measure) -> int:
    """The calls of one pass over ``distinct`` batches, or fewer where that would take too long."""
    budget_ns = max(measure.min_seconds, PASS_SECONDS) * clock.NS_PER_S
    return min(distinct, max(1, int(budget_ns // max(1, warm.call_ns))))


def core_loop(  # noqa: PLR0913
    engine: Engine,
    feed: Feed,
    least_calls: int,
    min_seconds: float,
    progress: Optional[ProgressFile] = None,
    samples: Optional[CoreSamples] = None,
    *,
    posted_ahead: int = 0,
) -> LoopRun:
    """Run for at least ``min_seconds`` and at least ``least_calls``.

    ``posted_ahead`` batches wait beside those that the engine has in flight.
    """
    limit_ns = int(min_seconds * clock.NS_PER_S)

    def more(calls: int, elapsed_ns: int) -> bool:
        return calls < least_calls or elapsed_ns < limit_ns

    run = drive(engine, feed, engine.in_flight + posted_ahead, more, progress, samples)
    if progress is not None:
        progress.loop_ended()
    return run


def _window(calls: int, left_ns: int) -> More:
    def more(submitted: int, elapsed_ns: int) -> bool:
        if elapsed_ns >= left_ns:
            return submitted == 0
        return submitted < calls or elapsed_ns < WINDOW_NS

    return more


def _kept(outputs: Any) -> Any:
    """A copy of outputs that the next call overwrites; what is no output is checked later."""
    if not isinstance(outputs, dict):
        return outputs
    return {
        name: value.copy() if isinstance(value, np.ndarray) else value
        for name, value in outputs.items()
    }


def _median_ns(run: LoopRun, depth: int) -> float:
    """The median time of ``depth`` completions; with several in flight, single ones come in bursts."""
    completed = np.array(run.completed_ns, np.int64)
    groups = completed[depth:] - completed[:-depth]
    return float(np.median(groups)) if groups.size else run.wall_ns / float(run.calls) * depth
