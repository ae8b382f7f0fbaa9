"""Overflows, as fp16 does, in the last item of every batch."""

import numpy as np
from harness.engine import Engine


class Faulty(Engine):
    """Needs no model and no SDK: the graph's declared outputs are all it knows."""

    def load(self):
        """Nothing to load."""
        return {"precision": self.job.precision, "arithmetic": "none"}

    def infer(self, inputs):
        """Outputs as job.json declares them."""
        first = next(spec for spec in self.job.inputs if spec.batched)
        rows = inputs[first.name]
        means = rows.reshape(len(rows), -1).mean(axis=1)
        return {spec.name: self._output(spec, means) for spec in self.job.outputs}

    def _output(self, spec, means):
        means = np.repeat(means, spec.rows_per_item)
        ramp = np.arange(int(np.prod(spec.shape)), dtype=np.float64).reshape(spec.shape)
        means = means.reshape((-1,) + (1,) * len(spec.shape))
        values = (means + ramp).astype(spec.dtype)
        values[-1] = np.inf
        return values


ENGINE = Faulty
