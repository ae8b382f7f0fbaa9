"""Asynchronous, and its wait() waits for nothing: the buffers of the last round are returned."""

import queue
import threading

import numpy as np
from hook.engines.honest import Honest


class DoesNotWait(Honest):
    """A thread fills one of two buffers a millisecond after submit."""

    in_flight = 2
    reuses_outputs = True

    def load(self):
        """Start the thread, as a device's queue."""
        settings = super().load()
        shape = (self.job.batch_size, *self.job.outputs[0].shape)
        self._buffers = [np.zeros(shape, np.float32) for _ in range(2)]
        self._calls = 0
        self._queue = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()
        return settings

    def _work(self):
        pause = threading.Event()
        while True:
            rows, buffer = self._queue.get()
            pause.wait(0.001)
            buffer[: len(rows)] = self.compute(rows)
            self._queue.task_done()

    def submit(self, inputs):
        """Enqueue the batch."""
        self._calls += 1
        buffer = self._buffers[self._calls % 2]
        rows = self.rows(inputs).copy()
        self._queue.put((rows, buffer))
        return buffer[: len(rows)]

    def wait(self, ticket):
        """Return at once."""
        return self.outputs(ticket)


ENGINE = DoesNotWait
