"""What a case does around the model: from an item's bytes to inputs, from outputs to predictions."""

import numpy as np


class Task:
    """Base class of a case's task; case/task.py exports ``make_task(job)``.

    Arrays are numpy, batch first, C-contiguous. ``score`` and ``agree`` run in the reference image
    only, everything else in every vendor's.
    """

    #: Core steps that one item takes (denoising steps of a diffusion model; 1 elsewhere).
    steps_per_item = 1

    def __init__(self, job):
        self.job = job

    def prepare(self, payload):
        """One item's bytes → name → array without batch axis; same names, shapes, dtypes each time."""
        raise NotImplementedError("a task must implement prepare()")

    def run(self, infer, inputs):
        """All model calls of one batch: ``infer`` takes and gives name → array. Default: one call.

        Override it where an item needs several calls; those then run one after the other.
        """
        return infer(inputs)

    def core_inputs(self, inputs):
        """The engine's inputs of one core step, from a prepared batch. Default: the batch itself."""
        return inputs

    def decode(self, outputs):
        """Model outputs → name → array [items, …] of numbers: what is written and scored."""
        raise NotImplementedError("a task must implement decode()")

    def details(self):
        """What the report should say about how items are prepared, e.g. the picture decoder."""
        return {}

    def score(self, predictions, labels):
        """Predictions of N items against N labels → figure's name → value."""
        raise NotImplementedError("a task must implement score()")

    def agree(self, predictions, golden):
        """Predictions against the fp32 reference's predictions of the same items → name → value."""
        raise NotImplementedError("a task must implement agree()")

    def scorer(self):
        """What scored the predictions (models, files, settings), for the result. Default: nothing."""
        return {}

    def illustrate(self, predictions, folder):
        """Write pictures (PNG) of the first predictions into ``folder``, for people. Default: none.

        Runs in the reference image after scoring; the driver keeps them beside the result.
        """

    def same(self, predictions, others):
        """Bool array [items]: which items' predictions are the same answer (floats: within 1 %)."""
        verdicts = []
        for name, array in predictions.items():
            left = np.asarray(array).reshape(len(array), -1)
            right = np.asarray(others[name]).reshape(len(array), -1)
            if left.dtype.kind == "f":
                scale = np.abs(right).max(axis=1, keepdims=True)
                equal = np.abs(left - right) <= 0.01 * np.maximum(scale, 1e-6)
            else:
                equal = left == right
            verdicts.append(equal.all(axis=1))
        return np.logical_and.reduce(verdicts)
