"""A simulated device that only enqueues: submit returns at once, results are ready later.

It takes ``engine_options.item_ms`` milliseconds an item, one batch after the other, and computes
nothing but a logit from the first value of each item.
"""

import time

import numpy as np
from harness.engine import Engine


class Enqueue(Engine):
    """Results exist only from ``ready`` on; asking earlier sleeps until then."""

    simulated = True
    in_flight = 2

    def load(self):
        self._item_s = self.job.engine_options["item_ms"] / 1000.0
        self._free_at = 0.0
        return {"precision": "fp32", "item_ms": self.job.engine_options["item_ms"]}

    def submit(self, inputs):
        items = inputs[self.job.inputs[0].name]
        first = items.reshape(len(items), -1)[:, :1]
        begin = max(time.perf_counter(), self._free_at)
        self._free_at = begin + self._item_s * len(items)
        return self._free_at, first * np.ones((1, *self.job.outputs[0].shape), np.float32)

    def wait(self, ticket):
        ready, logits = ticket
        left = ready - time.perf_counter()
        if left > 0:
            time.sleep(left)
        return {self.job.outputs[0].name: logits}

    def phases(self, ticket):
        return 0, int(self._item_s * 1e9 * len(ticket[1])), 0


ENGINE = Enqueue
