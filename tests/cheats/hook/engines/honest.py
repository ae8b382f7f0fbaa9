"""What every cheat should do: six outputs of an item, each of which depends on all of its values."""

import sys

import numpy as np
from harness.engine import Engine


class Honest(Engine):
    """A fixed random layer, computed for every item of every call."""

    def load(self):
        """Draw the weights; the same for every process."""
        shape = (int(np.prod(self.job.inputs[0].shape)), self.job.outputs[0].shape[0])
        self._weights = np.random.RandomState(0).standard_normal(shape).astype(np.float32)
        self.hits = 0
        return {"precision": "fp32", "arithmetic": "fp32"}

    def infer(self, inputs):
        """Compute the whole batch."""
        return self.outputs(self.compute(self.rows(inputs)))

    def rows(self, inputs):
        """The items as rows: float32 [items, values]."""
        array = inputs[self.job.inputs[0].name]
        return array.reshape(len(array), -1)

    def compute(self, rows):
        """The outputs of these rows, computed."""
        return np.tanh(rows @ self._weights / 30)

    def outputs(self, computed):
        """The outputs as the harness takes them."""
        return {self.job.outputs[0].name: computed}

    def versions(self):
        """How many items of the core loop the cheat did not compute."""
        return {"hits": str(self.hits)}


def in_core():
    """Whether the core loop called, which a hook in the harness's process can find out."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "core_loop":
            return True
        frame = frame.f_back
    return False


ENGINE = Honest
