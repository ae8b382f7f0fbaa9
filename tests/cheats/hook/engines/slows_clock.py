"""Slows every clock that it can reach to a tenth, and takes a millisecond a call."""

import time

from hook.engines.honest import Honest


class SlowsClock(Honest):
    """As a library that patches the time functions of its process would."""

    def load(self):
        """Patch Python's clock and the harness's."""
        from harness import clock

        true = time.perf_counter_ns
        self._true = true
        time.perf_counter_ns = clock.now_ns = lambda: true() // 10
        return super().load()

    def infer(self, inputs):
        """Compute the batch, then wait for the rest of a true millisecond."""
        until = self._true() + 1000000
        found = super().infer(inputs)
        while self._true() < until:
            pass
        return found


ENGINE = SlowsClock
