"""A bare ONNX Runtime loop, the yardstick of vendor cpu: no harness, nothing but session.run.

    python bare_onnxruntime.py MODEL THREADS BATCH_SIZE SECONDS

Runs in the cpu stack's environment; prints items a second. Inputs are random and rotate.
"""

import itertools
import sys
import time

import numpy as np
import onnxruntime

model, threads, batch_size, seconds = sys.argv[1], *map(float, sys.argv[2:])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
random = np.random.default_rng(0)
first = session.get_inputs()[0]
shape = (int(batch_size), *first.shape[1:])
batches = [{first.name: random.standard_normal(shape).astype(np.float32)} for _ in range(4)]
for batch in batches[:2]:
    session.run(None, batch)
done, started = 0, time.perf_counter()
for batch in itertools.cycle(batches):
    session.run(None, batch)
    done += 1
    if time.perf_counter() - started >= seconds:
        break
print(done * batch_size / (time.perf_counter() - started))
