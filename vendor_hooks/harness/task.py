"""What a case does around the model: an item's bytes to inputs, outputs to predictions."""

from pathlib import Path
from typing import Any, Callable, Dict

import numpy as np

from harness.job import Arrays, Job


class UnevenItem(ValueError):
    """An item's arrays (``arrays``) differ in name, shape or dtype from the first item's."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__("an item unlike the first one")
        self.arrays = arrays


class Task:
    """Base class of a case's task; case/task.py exports ``make_task(job)``.

    Arrays are numpy arrays, batch first, C-contiguous. ``score`` and ``agree`` run only in the reference
    image, everything else in every vendor's.
    """

    #: Core steps that one item takes (denoising steps of a diffusion model; 1 elsewhere).
    steps_per_item: int = 1
    #: Of a language model: whether ``run`` makes the steps of the core loop, a prefill of ``prompt`` tokens and decode
    #: steps, so that both loops must agree. False for prompts of other lengths.
    same_steps: bool = True

    def __init__(self, job: Job) -> None:
        self.job = job

    def prepare(self, payload: bytes) -> Arrays:
        """Return an item's arrays without batch axis; every item has the same names, shapes and dtypes."""
        raise NotImplementedError("a task must implement prepare()")

    def prepare_into(self, payload: bytes, rows: Arrays) -> None:
        """Write an item's arrays into ``rows``, its place in the batch. Default: copy what prepare returns.

        Override it beside ``prepare`` where the copy costs; raise UnevenItem where they do not fit.
        """
        arrays = self.prepare(payload)
        if {name: (array.shape, array.dtype) for name, array in arrays.items()} != {
            name: (row.shape, row.dtype) for name, row in rows.items()
        }:
            raise UnevenItem(arrays)
        for name, array in arrays.items():
            rows[name][...] = array

    def run(self, infer: Callable[[Arrays], Arrays], inputs: Arrays) -> Arrays:
        """Make all model calls of one batch through ``infer``. Default: one call.

        Override it where an item needs several calls; these run one after the other.
        """
        return infer(inputs)

    def core_inputs(self, inputs: Arrays) -> Arrays:
        """Return the engine's inputs for one core step of a prepared batch. Default: the batch itself."""
        return inputs

    def decode(self, outputs: Arrays) -> Arrays:
        """Return the predictions, arrays [items, …] of numbers, which are written and scored."""
        raise NotImplementedError("a task must implement decode()")

    def details(self) -> Dict[str, Any]:
        """Return what the report should say about how items are prepared, such as the image decoder."""
        return {}

    def score(self, predictions: Arrays, labels: np.ndarray) -> Dict[str, float]:
        """Score predictions of N items against N labels; return figure → value."""
        raise NotImplementedError("a task must implement score()")

    def agree(self, predictions: Arrays, golden: Arrays) -> Dict[str, float]:
        """Compare predictions with the fp32 reference's, for the same items; return figure → value."""
        raise NotImplementedError("a task must implement agree()")

    def scorer(self) -> Dict[str, Any]:
        """Return what scored the predictions (models, files, settings), for the result. Default: nothing."""
        return {}

    def illustrate(self, predictions: Arrays, folder: Path) -> None:
        """Write images (PNG) of the first predictions into ``folder``, to be viewed. Default: none.

        Runs in the reference image after scoring; the driver keeps the images beside the result.
        """

    def same(self, predictions: Arrays, others: Arrays) -> np.ndarray:
        """Return a bool array [items]: whose predictions are the same (floats: within 1 %)."""
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


def preparing(task: Task) -> Callable[[bytes, Arrays], None]:
    """The prepare_into to call: the class that overrides ``prepare`` alone is not passed over."""
    for kind in type(task).__mro__:
        if "prepare_into" in vars(kind):
            return task.prepare_into
        if "prepare" in vars(kind):
            break
    return lambda payload, rows: Task.prepare_into(task, payload, rows)
