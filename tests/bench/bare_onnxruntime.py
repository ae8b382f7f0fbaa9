"""A bare ONNX Runtime loop, the yardstick of vendor cpu: no harness, nothing but session.run.

    python bare_onnxruntime.py MODEL THREADS BATCH_SIZE SECONDS [SESSION_KEY=VALUE]…

Runs in the cpu stack's environment; prints items a second. Inputs are random and rotate. It warms up
as the harness does, until two windows agree: without warm-up this loop would be slow, and the harness compared with it would look fast.
"""

import itertools
import sys
import time

import numpy as np
import onnxruntime

WINDOW_CALLS = 3
LONGEST_WARM_UP_S = 30.0
TOLERANCE = 0.05

model, threads, batch_size, seconds, *settings = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
options.inter_op_num_threads = 1
for setting in settings:
    options.add_session_config_entry(*setting.split("=", 1))
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
random = np.random.default_rng(0)
first = session.get_inputs()[0]
shape = (int(batch_size), *first.shape[1:])
batches = [{first.name: random.standard_normal(shape).astype(np.float32)} for _ in range(4)]


def seconds_a_call(shortest_s: float) -> float:
    """Run calls for at least so long, and at least WINDOW_CALLS of them."""
    started = time.perf_counter()
    for done, batch in enumerate(itertools.cycle(batches), start=1):
        session.run(None, batch)
        wall_s = time.perf_counter() - started
        if done >= WINDOW_CALLS and wall_s >= shortest_s:
            return wall_s / done
    raise AssertionError


session.run(None, batches[0])
began, before, now = time.perf_counter(), 0.0, seconds_a_call(0.1)
while abs(now - before) > TOLERANCE * before and time.perf_counter() - began < LONGEST_WARM_UP_S:
    before, now = now, seconds_a_call(0.1)
print(int(batch_size) / seconds_a_call(float(seconds)))
