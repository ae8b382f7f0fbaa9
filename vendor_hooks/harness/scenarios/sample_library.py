"""LoadGen's samples: items of the dataset, preprocessed, in memory that the engine reads without a copy."""

import collections
from typing import Callable, Deque, Dict, List, Sequence

import numpy as np

from harness.inputs.batch_loader import BatchLoader, ItemSource, batch_bytes
from harness.inputs.dataset import Dataset
from harness.job import Arrays, Job

Empty = Callable[..., np.ndarray]


class SampleLibrary:
    """Loads the samples that LoadGen names, and makes batches of them.

    Samples that follow each other as they were loaded are a window of the memory; others are gathered into one of
    ``buffers`` buffers, which are used in turns.
    """

    def __init__(
        self, job: Job, source: ItemSource, dataset: Dataset, empty: Empty, buffers: int
    ) -> None:
        self._job = job
        self._source = source
        self._empty = empty
        self.total = len(dataset)
        fitting = job.measure.core_memory_bytes // max(1, batch_bytes(source.layout, 1))
        assert job.scenario is not None, "only a job with a scenario has a library"
        #: Samples that are in memory at once; LoadGen gets this number.
        self.at_once = max(1, min(self.total, job.scenario.performance_samples, fitting))
        self._buffers: Deque[Arrays] = collections.deque(
            self._allocated(job.batch_size) for _ in range(buffers)
        )
        self._memory: Arrays = {}
        self._order: List[int] = []
        self._places: Dict[int, int] = {}

    def load(self, samples: Sequence[int]) -> None:
        """Read and preprocess ``samples``, in their order; a batch's worth of the first ones follows the last."""
        size = self._job.batch_size
        self._memory = self._allocated(len(samples) + size)
        self._order = list(samples) + [samples[n % len(samples)] for n in range(size)]
        self._places = {}
        for place, sample in enumerate(samples):
            self._places.setdefault(sample, place)
        with BatchLoader(_Chosen(self._source, self._order), size, self._job.threads) as loader:
            for batch in loader.batches(len(self._order)):
                for name, array in batch.inputs.items():
                    self._memory[name][batch.start : batch.start + batch.count] = array
                loader.release(batch)

    def unload(self, samples: Sequence[int]) -> None:  # noqa: ARG002  # all of them
        """Forget the samples."""
        self._memory, self._order, self._places = {}, [], {}

    def batch(self, samples: Sequence[int], rows: int) -> Arrays:
        """The inputs of ``samples``, [rows, …] each; what is beyond them is other samples."""
        place, count = self._places[samples[0]], len(samples)
        if count == 1 or self._order[place : place + count] == samples:
            return {name: array[place : place + rows] for name, array in self._memory.items()}
        places = [self._places[sample] for sample in samples]
        buffer = self._buffers[0]
        self._buffers.rotate(-1)
        for name, array in self._memory.items():
            # "clip" writes into the buffer itself; the places are in range.
            np.take(array, places, axis=0, out=buffer[name][:count], mode="clip")
        return {name: array[:rows] for name, array in buffer.items()}

    def _allocated(self, rows: int) -> Arrays:
        arrays = {
            name: self._empty((rows,) + tuple(shape), dtype)
            for name, (shape, dtype) in self._source.layout.items()
        }
        for array in arrays.values():
            array.fill(0)
        return arrays


class _Chosen(ItemSource):
    """The source's items in another order: position n is item ``order[n]``."""

    def __init__(self, source: ItemSource, order: Sequence[int]) -> None:
        self._source = source
        self._order = order
        self.layout = source.layout

    def fill(self, position: int, row: int, buffers: Arrays) -> None:
        self._source.fill(self._order[position], row, buffers)
