"""A simulated device: computes nothing and costs no processor time; a call takes as long as the environment says.

The device works on one call after the other. With more than one in flight it goes from one to the next without the
host, as a queue on a device does.
"""

import ctypes
import os
import time

import numpy as np
from harness.engine import Engine

PR_SET_TIMERSLACK = 29


class SleepingDevice(Engine):
    """Outputs are zeros; BENCH_CALL_NS and BENCH_IN_FLIGHT come from the environment."""

    simulated = True
    in_flight = int(os.environ["BENCH_IN_FLIGHT"])

    def load(self):
        """Prepare the outputs; let sleeps end on time."""
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
        self._call_ns = int(os.environ["BENCH_CALL_NS"])
        self._idle_ns = 0
        spec = self.job.outputs[0]
        self._outputs = {spec.name: np.zeros((self.job.batch_size, *spec.shape), np.float32)}
        return {"precision": "fp32", "arithmetic": "fp32"}

    def submit(self, inputs):
        """Begin when the device has finished what it has."""
        self._idle_ns = max(self._idle_ns, time.perf_counter_ns()) + self._call_ns
        return self._idle_ns

    def wait(self, ticket):
        """Sleep until the call is over."""
        left_ns = ticket - time.perf_counter_ns()
        if left_ns > 0:
            time.sleep(left_ns / 1e9)
        return self._outputs


ENGINE = SleepingDevice
