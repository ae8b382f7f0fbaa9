"""Batches in host memory, ahead of the device: items are read, decoded, preprocessed, assembled."""

import collections
import concurrent.futures
import contextlib
import threading
from typing import Any, Callable, Deque, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

from harness.errors import StageFailure
from harness.inputs.dataset import Dataset
from harness.inputs.image_decoder import NotAnImage
from harness.job import Arrays
from harness.task import Task, UnevenItem, preparing

#: Name → (shape, dtype) of one item.
Layout = Dict[str, Tuple[Tuple[int, ...], np.dtype]]
#: (shape, dtype) → the array of a batch's buffer, C-contiguous; np.empty, or memory shared with a process.
Allocate = Callable[[Tuple[int, ...], np.dtype], np.ndarray]


class Batch(NamedTuple):
    """``count`` items from position ``start``; the arrays hold ``rows`` items.

    ``rows`` exceeds ``count`` only where a static batch was padded (with its last item).
    """

    start: int
    count: int  # type: ignore[assignment]  # a tuple has a method of this name
    rows: int
    inputs: Arrays
    buffers: Arrays


class ItemSource:
    """Where a batch's items come from; ``layout`` describes the arrays of one item."""

    layout: Layout

    def fill(self, position: int, row: int, buffers: Arrays) -> None:
        """Item ``position`` into ``row`` of each buffer."""
        raise NotImplementedError


class TensorSource(ItemSource):
    """Items that are already preprocessed tensors, read directly into the batch's rows."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.layout = {t.name: (t.shape, t.dtype) for t in dataset.tensors}

    def fill(self, position: int, row: int, buffers: Arrays) -> None:
        """Item ``position`` into ``row`` of each buffer."""
        rows = [buffers[name][row : row + 1].view(np.uint8) for name in self.layout]
        self._dataset.read_into(position, rows)


class FileSource(ItemSource):
    """Items that are files: read, then prepared by the task (decode, resize, normalise)."""

    def __init__(self, dataset: Dataset, task: Task) -> None:
        self._dataset = dataset
        self._prepare_into = preparing(task)
        with self._item(0):
            arrays = task.prepare(dataset.read(0))
        self.layout = _layout(arrays)

    def fill(self, position: int, row: int, buffers: Arrays) -> None:
        """Item ``position`` into ``row`` of each buffer."""
        rows = {name: buffers[name][row, ...] for name in self.layout}
        with self._item(position):
            self._prepare_into(self._dataset.read(position), rows)

    @contextlib.contextmanager
    def _item(self, position: int) -> Iterator[None]:
        """Attribute what an item's preparation raises."""
        name = self._dataset.ids[position]
        try:
            yield
        except UnevenItem as uneven:
            raise StageFailure(
                "contract",
                "the task prepared item {} as {}, but the first item as {}".format(
                    name, _in_words(_layout(uneven.arrays)), _in_words(self.layout)
                ),
                "prepare() in the case's task.py must return the same shapes and dtypes for every item",
            ) from uneven
        except NotAnImage as error:
            raise StageFailure(
                "data",
                "item {} is not a readable image ({})".format(name, error),
                "replace or remove that file in the dataset's folder, then run the same command again",
            ) from error


def make_source(dataset: Dataset, task: Task) -> ItemSource:
    """The source for the dataset's kind (file or tensor)."""
    return TensorSource(dataset) if dataset.kind == "tensor" else FileSource(dataset, task)


class BatchLoader:
    """Batches in order, assembled by ``threads`` workers, at most ``ahead`` of them in advance.

    ``allocate`` makes the buffers, which are reused: return each batch with ``release`` once the device no longer reads it. Where
    batches are timed, ``make_buffers`` makes them before the clock starts. Use it as a context manager; leaving it stops the
    workers, even after an error.
    """

    def __init__(
        self,
        source: ItemSource,
        batch_size: int,
        threads: int,
        in_flight: int = 1,
        static: bool = False,
        allocate: Allocate = np.empty,
    ) -> None:
        self._source = source
        self._batch_size = batch_size
        self._static = static
        self._allocate_array = allocate
        # Two items per worker, and one more batch than the device has in flight.
        self._ahead = max(2, -(-2 * threads // batch_size), in_flight + 1)
        self._in_flight = in_flight
        self._chunk = max(1, min(8, batch_size // (2 * threads)))
        self._free: Deque[Arrays] = collections.deque()
        self._stopped = threading.Event()
        self._workers = concurrent.futures.ThreadPoolExecutor(threads, "loader")

    def __enter__(self) -> "BatchLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._workers.shutdown(wait=True)

    def make_buffers(self, count: int) -> None:
        """Make the buffers that the batches of ``count`` items will use, and touch each page of them.

        The first touch of a page costs the kernel as much as filling it: 0.14 s for the buffers of 32 pictures
        in shared memory, which is no part of what a user waits for in a long loop.
        """
        all_batches = -(-count // self._batch_size)
        for _ in range(min(all_batches, self._ahead + self._in_flight - 1) - len(self._free)):
            buffers = self._allocate()
            for array in buffers.values():
                array.fill(0)
            self._free.append(buffers)

    def batches(self, count: int) -> Iterator[Batch]:
        """Yield the batches of the first ``count`` items; the last one may be partial."""
        starts = iter(range(0, count, self._batch_size))
        pending: Deque[Tuple[int, int, Arrays, List[Any]]] = collections.deque()
        while True:
            while len(pending) < self._ahead:
                start = next(starts, None)
                if start is None:
                    break
                pending.append(self._begin(start, min(self._batch_size, count - start)))
            if not pending:
                return
            yield self._finish(*pending.popleft())

    def release(self, batch: Batch) -> None:
        """Return the batch's buffers for reuse; its arrays will be overwritten."""
        self._free.append(batch.buffers)

    def _begin(self, start: int, count: int) -> Tuple[int, int, Arrays, List[Any]]:
        buffers = self._free.popleft() if self._free else self._allocate()
        futures = [
            self._workers.submit(
                self._fill, start, range(row, min(row + self._chunk, count)), buffers
            )
            for row in range(0, count, self._chunk)
        ]
        return start, count, buffers, futures

    def _fill(self, start: int, rows: range, buffers: Arrays) -> None:
        for row in rows:
            if self._stopped.is_set():
                return
            self._source.fill(start + row, row, buffers)

    def _finish(self, start: int, count: int, buffers: Arrays, futures: List[Any]) -> Batch:
        for future in futures:
            future.result()
        rows = count
        if self._static and count < self._batch_size:
            rows = self._batch_size
            for array in buffers.values():
                array[count:] = array[count - 1]
        inputs = {name: array[:rows] for name, array in buffers.items()}
        return Batch(start, count, rows, inputs, buffers)

    def _allocate(self) -> Arrays:
        return {
            name: self._allocate_array((self._batch_size,) + tuple(shape), dtype)
            for name, (shape, dtype) in self._source.layout.items()
        }


def batch_bytes(layout: Layout, batch_size: int) -> int:
    """Bytes of one full batch of this layout."""
    return batch_size * sum(
        int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        for shape, dtype in layout.values()
    )


def _layout(arrays: Arrays) -> Layout:
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def _in_words(layout: Layout) -> str:
    return ", ".join(
        "{} {} {}".format(name, np.dtype(dtype).name, list(shape))
        for name, (shape, dtype) in sorted(layout.items())
    )
