"""Fills the core loop's pool: real items, preprocessed, in host memory."""

from typing import Callable, Dict

import numpy as np

from harness.engine import Engine
from harness.inputs.batch_loader import BatchLoader, ItemSource, batch_bytes
from harness.inputs.core_pool import CorePool
from harness.inputs.dataset import Dataset
from harness.inputs.pooled_input import PooledInput
from harness.job import Arrays, Job
from harness.task import Task


def prepare_core_pool(
    source: ItemSource, dataset: Dataset, job: Job, task: Task, engine: Engine
) -> CorePool:
    """Prepare the dataset's first items in host memory.

    As many full batches as core_batches and core_memory_bytes allow are distinct. A smaller dataset is
    repeated. There are more than two windows for each batch that is out, so that one is always free.
    """
    size = job.batch_size
    fitting = job.measure.core_memory_bytes // max(1, batch_bytes(source.layout, size))
    distinct = max(1, min(job.measure.core_batches, len(dataset) // size, fitting))
    # One ahead always has room, and more where memory allows it: see harness.loops.core.ahead.
    least = 2 * (engine.in_flight + min(1, engine.ahead)) + 1
    wanted = min(fitting, 2 * (engine.in_flight + engine.ahead) + 1)
    filling = _Filling(job, distinct, max(distinct, least, wanted), engine.empty)
    with BatchLoader(_Repeating(source, len(dataset)), size, job.threads) as loader:
        for batch in loader.batches(distinct * size):
            filling.add(task.core_inputs(batch.inputs))
            loader.release(batch)
    # Real items are the first two batches, or the only one twice.
    real = [row % (distinct * size) % len(dataset) for row in range(2 * size)]
    return CorePool(filling.inputs(), filling.constants, real, size, distinct)


class _Filling:
    """A pool of ``windows`` batches while it is filled; its ``distinct`` batches repeat."""

    def __init__(
        self, job: Job, distinct: int, windows: int, empty: Callable[..., np.ndarray]
    ) -> None:
        self._empty = empty
        self._specs = {spec.name: spec for spec in job.inputs if spec.batched}
        self._distinct, self._windows = distinct, windows
        self._pools: Arrays = {}
        self._reals: Arrays = {}
        self._filled = 0
        self.constants: Arrays = {}

    def add(self, inputs: Arrays) -> None:
        """Copy the inputs of the next batch."""
        for name, array in inputs.items():
            if name in self._specs:
                self._place(self._pools, name, array, self._windows)
                self._place(self._reals, name, array, 2)
            else:
                self.constants.setdefault(name, array.copy())
        self._filled += 1

    def _place(self, arrays: Arrays, name: str, array: np.ndarray, windows: int) -> None:
        rows = len(array)
        if name not in arrays:
            arrays[name] = self._empty((windows * rows,) + array.shape[1:], array.dtype)
        for window in range(self._filled, windows, self._distinct):
            arrays[name][window * rows : (window + 1) * rows] = array

    def inputs(self) -> Dict[str, PooledInput]:
        """Name → input, of those that have a batch axis."""
        return {
            name: PooledInput(pool, self._reals[name], self._specs[name].rows_per_item)
            for name, pool in self._pools.items()
        }


class _Repeating(ItemSource):
    """An endless source: position n is item n modulo the dataset's size."""

    def __init__(self, source: ItemSource, count: int) -> None:
        self._source = source
        self._count = count
        self.layout = source.layout

    def fill(self, position: int, row: int, buffers: Arrays) -> None:
        self._source.fill(position % self._count, row, buffers)
