"""A language model that computes nothing: its logits are always the same, so that only the harness costs time."""

import numpy as np
from harness.engine import Engine


class InstantModel(Engine):
    """The last id is the most probable one."""

    simulated = True

    def load(self):
        """Prepare the logits."""
        shape = (self.job.batch_size, *self.job.outputs[0].shape)
        self._logits = np.zeros(shape, np.float32)
        self._logits[:, -1] = 1
        return {"precision": "fp32", "arithmetic": "fp32"}

    def prefill(self, tokens):
        """Logits of the last token."""
        return self._logits

    def decode(self, tokens):
        """The same logits."""
        return self._logits


ENGINE = InstantModel
