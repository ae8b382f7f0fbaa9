"""The core loop and its warm-up: batches that already lie in host memory."""

import array
import collections

import numpy as np

from harness import clock
from harness.engine import Engine

#: A warm-up window lasts at least this long, or medians of fast models compare noise with noise.
WINDOW_NS = 100000000
#: One pass over the rotating batches may take this long (or min_seconds); slower models rotate fewer.
PASS_SECONDS = 10.0


class Drive:
    """One run of batches through the engine: when it began, when each completed, what came last."""

    def __init__(self):
        self.started_ns = 0
        self.completed_ns = array.array("q")
        self.last = None  # (index of the batch, its outputs)
        self.phases_ns = [0, 0, 0]
        self.knows_phases = True

    @property
    def calls(self):
        """Batches that completed."""
        return len(self.completed_ns)

    @property
    def wall_ns(self):
        """From the first hand-over to the last output in host memory."""
        return self.completed_ns[-1] - self.started_ns

    def samples_ns(self):
        """Time between completions, the first one from the start; as many as calls."""
        return np.diff(np.array(self.completed_ns, np.int64), prepend=self.started_ns)

    def add_phases(self, phases):
        """Sum one call's (h2d, compute, d2h); one unknown part makes the whole unknown."""
        for part, value in enumerate(phases):
            if value is None:
                self.knows_phases = False
            else:
                self.phases_ns[part] += int(value)


def drive(engine, batches, depth, more, progress=None):
    """Keep ``depth`` batches on the engine while ``more(calls handed over, elapsed ns)``; then drain.

    ``batches`` are input dicts and are rotated. The wait is the engine's own (it sleeps).
    """
    run = Drive()
    run.knows_phases = type(engine).phases is not Engine.phases
    tickets = collections.deque()
    handed_over = 0
    run.started_ns = now = clock.now_ns()
    while True:
        if more(handed_over, now - run.started_ns):
            index = handed_over % len(batches)
            tickets.append((index, engine.submit(batches[index])))
            handed_over += 1
            if len(tickets) < depth:
                continue
        elif not tickets:
            return run
        index, ticket = tickets.popleft()
        outputs = engine.wait(ticket)
        now = clock.now_ns()
        run.completed_ns.append(now)
        run.last = (index, outputs)
        if run.knows_phases:
            run.add_phases(engine.phases(ticket))
        if progress is not None:
            progress.done = run.calls


class WarmUp:
    """What ran before the clock counted: first call by itself, then windows until two agree."""

    def __init__(self):
        self.calls = 1
        self.wall_ns = 0
        self.first_call_ns = 0
        self.first_outputs = None
        self.steady = False
        self.call_ns = 0  # a call's time in the last window, throughput-wise

    def document(self):
        """As the report holds it."""
        return {
            "calls": self.calls,
            "wall_ns": self.wall_ns,
            "first_call_ns": self.first_call_ns,
            "steady": self.steady,
        }


def warm_up(engine, batches, measure):
    """Run until two successive windows' medians differ by at most steady_tolerance, or time is up."""
    warm = WarmUp()
    started = clock.now_ns()
    warm.first_outputs = engine.wait(engine.submit(batches[0]))
    warm.wall_ns = warm.first_call_ns = warm.call_ns = clock.now_ns() - started
    depth = engine.in_flight
    calls = max(measure.warmup_min_calls, 2 * depth)
    limit_ns = int(measure.warmup_max_seconds * clock.NS_PER_S)
    previous = None
    while not warm.steady and warm.wall_ns < limit_ns:
        left = limit_ns - warm.wall_ns
        run = drive(engine, batches, depth, _window(calls, left))
        median = _median_ns(run, depth)
        warm.steady = (
            previous is not None and abs(median - previous) <= measure.steady_tolerance * previous
        )
        previous = median
        warm.calls += run.calls
        warm.call_ns = run.wall_ns // run.calls
        warm.wall_ns = clock.now_ns() - started
    return warm


def rotation(batches, warm, measure):
    """The batches that the core loop rotates: all, or fewer where one pass would take too long."""
    budget_ns = max(measure.min_seconds, PASS_SECONDS) * clock.NS_PER_S
    return batches[: max(1, int(budget_ns // max(1, warm.call_ns)))]


def core_loop(engine, batches, min_seconds, progress=None):
    """The core figure's loop: at least ``min_seconds`` and at least one pass over ``batches``."""
    limit_ns = int(min_seconds * clock.NS_PER_S)
    one_pass = len(batches)

    def more(calls, elapsed_ns):
        return calls < one_pass or elapsed_ns < limit_ns

    return drive(engine, batches, engine.in_flight, more, progress)


def _window(calls, left_ns):
    def more(handed_over, elapsed_ns):
        if elapsed_ns >= left_ns:
            return handed_over == 0
        return handed_over < calls or elapsed_ns < WINDOW_NS

    return more


def _median_ns(run, depth):
    """Median time of ``depth`` completions: with several in flight single ones come in bursts."""
    completed = np.array(run.completed_ns, np.int64)
    groups = completed[depth:] - completed[:-depth]
    return float(np.median(groups)) if groups.size else run.wall_ns / float(run.calls) * depth
