"""Calls timed one by one: the latency loop, and the core figure of smoke runs with slow calls."""

import array

import numpy as np

from harness import clock
from harness.engine import Engine
from harness.inputs.core_pool import Feed
from harness.job import Measure


class SingleCalls:
    """Calls timed one by one, with nothing else on the engine; wall_ns is the sum of the calls."""

    def __init__(self) -> None:
        self.started_ns = 0
        self.wall_ns = 0
        self.calls_ns: "array.array[int]" = array.array("q")
        self.items_of_calls: "array.array[int]" = array.array("q")

    def add(self, submitted_ns: int, completed_ns: int, items: int) -> None:
        """Record a call of ``items`` items, from its submission to its outputs in host memory."""
        self.started_ns = self.started_ns or submitted_ns
        self.calls_ns.append(completed_ns - submitted_ns)
        self.items_of_calls.append(items)
        self.wall_ns += completed_ns - submitted_ns

    def without_first(self) -> "SingleCalls":
        """These calls without the first one, which warmed the engine up; a single call is kept."""
        if self.calls < 2:
            return self
        later = SingleCalls()
        later.started_ns = self.started_ns + self.calls_ns[0]
        later.calls_ns = self.calls_ns[1:]
        later.items_of_calls = self.items_of_calls[1:]
        later.wall_ns = self.wall_ns - self.calls_ns[0]
        return later

    @property
    def calls(self) -> int:
        """Calls that were timed."""
        return len(self.calls_ns)

    @property
    def items(self) -> int:
        """Items that the engine computed in them."""
        return sum(self.items_of_calls)

    def samples_ns(self) -> np.ndarray:
        """The time of each call, from submission to outputs in host memory."""
        return np.array(self.calls_ns, np.int64)


def latency_loop(engine: Engine, feed: Feed, measure: Measure, batch_size: int) -> SingleCalls:
    """Time single calls, one in flight: for latency_max_seconds, and at least latency_min_calls."""
    run = SingleCalls()
    limit_ns = int(measure.latency_max_seconds * clock.NS_PER_S)
    while run.calls < measure.latency_min_calls or run.wall_ns < limit_ns:
        inputs = feed.take()
        submitted_ns = clock.now_ns()
        engine.wait(engine.submit(inputs))
        run.add(submitted_ns, clock.now_ns(), batch_size)
        feed.release()
    return run
