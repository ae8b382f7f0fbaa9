"""A language model in numpy: the logits depend on every token of a sequence, and on their order."""

import numpy as np
from harness.engine import Engine

#: What the state of earlier tokens is multiplied with when another one is appended.
DECAY = 0.9


class Chain(Engine):
    """A state per sequence takes the place of keys and values. ``engine_options``: memory, in bytes; nan; static."""

    def __init__(self, job):
        super().__init__(job)
        self.static_batch = bool(job.engine_options.get("static"))

    def load(self):
        random = np.random.RandomState(7)
        shape = (self.job.outputs[0].shape[0], 16)
        self._rows = random.standard_normal(shape).astype(np.float32)
        return {"precision": "fp32", "arithmetic": "fp32"}

    def prefill(self, tokens):
        if self.static_batch and len(tokens) != self.job.batch_size:
            raise RuntimeError(f"a batch of {len(tokens)} items")
        self._state = np.zeros((len(tokens), 16), np.float32)
        for column in tokens.T:
            logits = self._append(column)
        return logits

    def decode(self, tokens):
        logits = self._append(tokens)
        if self.job.engine_options.get("nan"):
            logits[0, 1] = np.nan
        return logits

    def _append(self, tokens):
        self._state = DECAY * self._state + self._rows[tokens]
        return self._state @ self._rows.T

    def memory(self):
        total = self.job.engine_options.get("memory")
        return None if total is None else (0, total, "the test's")


ENGINE = Chain
