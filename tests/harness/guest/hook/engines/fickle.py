"""Answers rightly only in the whole loop: in the core loop every class is one too far."""

import numpy as np
from hook.engines.colours import Colours


class Fickle(Colours):
    """Knows that it is timed as a benchmark detector would: by the number of threads."""

    same_process = True

    def infer(self, inputs):
        import threading

        outputs = super().infer(inputs)
        names = {thread.name for thread in threading.enumerate()}
        if "decoder" in names:
            return outputs
        return {name: np.roll(array, 1, axis=1) for name, array in outputs.items()}


ENGINE = Fickle
