"""Calls timed one by one: the latency loop, and the core of a look at a slow model."""

import array

import numpy as np

from harness import clock


class SingleCalls:
    """Calls timed one by one, with nothing else on the engine; wall_ns is of the calls alone."""

    def __init__(self):
        self.started_ns = 0
        self.wall_ns = 0
        self.calls_ns = array.array("q")
        self.items_of_calls = array.array("q")

    def add(self, submitted_ns, completed_ns, items):
        """Book a call of ``items`` items, from its hand-over to its outputs in host memory."""
        self.started_ns = self.started_ns or submitted_ns
        self.calls_ns.append(completed_ns - submitted_ns)
        self.items_of_calls.append(items)
        self.wall_ns += completed_ns - submitted_ns

    def without_first(self):
        """These calls but for the first one, which warmed the engine up; all where there is but one."""
        if self.calls < 2:
            return self
        later = SingleCalls()
        later.started_ns = self.started_ns + self.calls_ns[0]
        later.calls_ns = self.calls_ns[1:]
        later.items_of_calls = self.items_of_calls[1:]
        later.wall_ns = self.wall_ns - self.calls_ns[0]
        return later

    @property
    def calls(self):
        """Calls that were timed."""
        return len(self.calls_ns)

    @property
    def items(self):
        """Items that the engine computed in them."""
        return sum(self.items_of_calls)

    def samples_ns(self):
        """Each call's time, from hand-over to outputs in host memory."""
        return np.array(self.calls_ns, np.int64)


def latency_loop(engine, batches, measure, batch_size):
    """Single calls, one in flight, for latency_max_seconds and at least latency_min_calls of them."""
    run = SingleCalls()
    limit_ns = int(measure.latency_max_seconds * clock.NS_PER_S)
    while run.calls < measure.latency_min_calls or run.wall_ns < limit_ns:
        batch = batches[run.calls % len(batches)]
        submitted_ns = clock.now_ns()
        engine.wait(engine.submit(batch))
        run.add(submitted_ns, clock.now_ns(), batch_size)
    return run
