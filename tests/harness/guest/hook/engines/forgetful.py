"""Colours that goes wrong once it has seen repeated inputs, as no loop but a load scenario's has them."""

import numpy as np
from harness.engine import Engine

SEEN = 60


class Forgetful(Engine):
    """From the ``SEEN``th repetition on, a repeated batch gets the first answer of all, or none."""

    def load(self):
        self._seen, self._again, self._first = set(), 0, None
        return {"precision": "fp32", "arithmetic": "fp32"}

    def infer(self, inputs):
        pictures = inputs[self.job.inputs[0].name]
        key = pictures.tobytes()
        again = key in self._seen
        self._again += again
        self._seen.add(key)
        means = pictures.mean(axis=(2, 3), dtype=np.float32)
        if self._first is None:
            self._first = means[0].copy()
        # The loops before and the check afterwards repeat few batches.
        if again and self._again > SEEN:
            if self.job.engine_options.get("fails"):
                raise RuntimeError("failed as the test asked")
            means[:] = self._first
        never = np.full((len(pictures), 3), -100, np.float32)
        return {self.job.outputs[0].name: np.concatenate([means, never], axis=1)}


ENGINE = Forgetful
