"""From the dataset to batches in host memory: read, decode, preprocess, assemble, ahead of the device."""

import collections
import concurrent.futures
import threading
from typing import Dict, NamedTuple

import numpy as np

from harness.errors import StageFailure
from harness.image import NotAnImage


class Batch(NamedTuple):
    """``count`` items from position ``start``; ``rows`` are the items that the arrays hold.

    ``rows`` is more than ``count`` only where a static batch was padded (with its last item).
    """

    start: int
    count: int
    rows: int
    inputs: Dict[str, np.ndarray]
    buffers: Dict[str, np.ndarray]


class TensorSource:
    """Items that are already preprocessed tensors: read straight into the batch's rows."""

    def __init__(self, dataset):
        self._dataset = dataset
        self.layout = {t.name: (t.shape, t.dtype) for t in dataset.tensors}

    def fill(self, position, row, buffers):
        """Item ``position`` into ``row`` of each buffer."""
        rows = [buffers[name][row : row + 1].view(np.uint8) for name in self.layout]
        self._dataset.read_into(position, rows)


class FileSource:
    """Items that are files: read, then the task's prepare (decode, resize, normalise)."""

    def __init__(self, dataset, task):
        self._dataset = dataset
        self._task = task
        self.layout = {
            name: (array.shape, array.dtype) for name, array in self._prepared(0).items()
        }

    def fill(self, position, row, buffers):
        """Item ``position`` into ``row`` of each buffer."""
        arrays = self._prepared(position)
        found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
        if found != self.layout:
            raise StageFailure(
                "contract",
                "the task prepared item {} as {}, the first one as {}".format(
                    self._dataset.ids[position], _in_words(found), _in_words(self.layout)
                ),
                "prepare() in the case's task.py must give every item the same shapes and dtypes",
            )
        for name, array in arrays.items():
            buffers[name][row] = array

    def _prepared(self, position):
        try:
            return self._task.prepare(self._dataset.read(position))
        except NotAnImage as error:
            raise StageFailure(
                "data",
                "item {} is not a readable image ({})".format(self._dataset.ids[position], error),
                "replace or remove that file in the dataset's folder, then run again",
            ) from error


def make_source(dataset, task):
    """The source that suits the dataset's kind."""
    return TensorSource(dataset) if dataset.kind == "tensor" else FileSource(dataset, task)


class Loader:
    """Batches in order, assembled by ``threads`` workers, at most ``ahead`` of them in advance.

    Buffers are reused: give each batch back with ``release`` once the device is done with it. Use it
    as a context manager; leaving it stops the workers, also after an error.
    """

    def __init__(self, source, batch_size, threads, in_flight=1, static=False):
        self._source = source
        self._batch_size = batch_size
        self._static = static
        # Two items a worker, and one whole batch beyond those on the device.
        self._ahead = max(2, -(-2 * threads // batch_size), in_flight + 1)
        self._chunk = max(1, min(8, batch_size // (2 * threads)))
        self._free = collections.deque()
        self._stopped = threading.Event()
        self._workers = concurrent.futures.ThreadPoolExecutor(threads, "loader")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._workers.shutdown(wait=True)

    def batches(self, count):
        """The batches of the first ``count`` items; the last one may be partial."""
        starts = iter(range(0, count, self._batch_size))
        pending = collections.deque()
        while True:
            while len(pending) < self._ahead:
                start = next(starts, None)
                if start is None:
                    break
                pending.append(self._begin(start, min(self._batch_size, count - start)))
            if not pending:
                return
            yield self._finish(*pending.popleft())

    def release(self, batch):
        """Take the batch's buffers back; its arrays are overwritten afterwards."""
        self._free.append(batch.buffers)

    def _begin(self, start, count):
        buffers = self._free.popleft() if self._free else self._allocate()
        futures = [
            self._workers.submit(
                self._fill, start, range(row, min(row + self._chunk, count)), buffers
            )
            for row in range(0, count, self._chunk)
        ]
        return start, count, buffers, futures

    def _fill(self, start, rows, buffers):
        for row in rows:
            if self._stopped.is_set():
                return
            self._source.fill(start + row, row, buffers)

    def _finish(self, start, count, buffers, futures):
        for future in futures:
            future.result()
        rows = count
        if self._static and count < self._batch_size:
            rows = self._batch_size
            for array in buffers.values():
                array[count:] = array[count - 1]
        inputs = {name: array[:rows] for name, array in buffers.items()}
        return Batch(start, count, rows, inputs, buffers)

    def _allocate(self):
        return {
            name: np.empty((self._batch_size,) + tuple(shape), dtype)
            for name, (shape, dtype) in self._source.layout.items()
        }


def batch_bytes(layout, batch_size):
    """Bytes of one full batch of this layout."""
    return batch_size * sum(
        int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        for shape, dtype in layout.values()
    )


def _in_words(layout):
    return ", ".join(
        "{} {} {}".format(name, np.dtype(dtype).name, list(shape))
        for name, (shape, dtype) in sorted(layout.items())
    )
