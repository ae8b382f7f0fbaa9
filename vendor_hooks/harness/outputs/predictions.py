"""Outputs become predictions: checked, decoded and kept, in a thread beside the device."""

import queue
import threading
from typing import List, Optional, Tuple

import numpy as np

from harness.errors import StageFailure
from harness.job import Arrays
from harness.outputs import contract
from harness.task import Task

#: Batches whose outputs may wait to be decoded; more would only cost memory.
WAITING = 4


class DecodedPredictions:
    """The decoded predictions of ``total`` items, and the raw outputs of the first ``raw_total``."""

    def __init__(self, task: Task, ids: List[str], raw_total: int) -> None:
        self._task = task
        self.ids = ids
        self._raw_total = min(raw_total, len(ids))
        self.arrays: Arrays = {}
        self.raw: Arrays = {}
        self.count = 0

    def add(self, start: int, count: int, outputs: Arrays) -> None:
        """Check, decode and keep the outputs of items ``start`` … ``start + count``."""
        contract.require_finite(outputs, self.ids[start : start + count])
        self._keep_raw(start, count, outputs)
        for name, decoded in self._task.decode(outputs).items():
            rows = np.asarray(decoded)
            if rows.shape[:1] != (count,) or rows.dtype.kind not in "biuf":
                raise _bad_prediction(name, rows, count)
            _place(self.arrays, name, rows, start, len(self.ids))
        self.count = start + count

    def written(self) -> Arrays:
        """Name → predictions of the items that were reached, in the order of the index."""
        return {name: array[: self.count] for name, array in self.arrays.items()}

    def _keep_raw(self, start: int, count: int, outputs: Arrays) -> None:
        wanted = min(count, self._raw_total - start)
        if wanted <= 0:
            return
        for name, array in outputs.items():
            # Only what has a batch axis can be compared item by item.
            if array.ndim and array.shape[0] and array.shape[0] % count == 0:
                per_item = array.shape[0] // count
                _place(
                    self.raw,
                    name,
                    array[: wanted * per_item],
                    start * per_item,
                    self._raw_total * per_item,
                )

    def raw_written(self) -> Arrays:
        """Name → raw outputs of the first items that were reached."""
        reached = min(self.count, self._raw_total)
        return {
            name: array[: len(array) // self._raw_total * reached]
            for name, array in self.raw.items()
        }


class Decoder:
    """Adds to DecodedPredictions in a thread, in order; an error there ends the loop at its next batch."""

    def __init__(self, predictions: DecodedPredictions) -> None:
        self._predictions = predictions
        self._queue: "queue.Queue[Optional[Tuple[int, int, Arrays]]]" = queue.Queue(WAITING)
        self._error: Optional[Exception] = None
        self._thread = threading.Thread(target=self._work, name="decoder", daemon=True)

    def __enter__(self) -> "Decoder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()

    def put(self, start: int, count: int, outputs: Arrays) -> None:
        """Queue one batch's outputs; raises the error of an earlier batch."""
        self.check()
        self._queue.put((start, count, outputs))

    def finish(self) -> None:
        """Wait until everything is decoded; raises the error of any batch."""
        self._queue.join()
        self.check()

    def check(self) -> None:
        """Raise the error of an earlier batch, if there was one."""
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while True:
            entry = self._queue.get()
            try:
                if entry is None:
                    return
                # After an error the queue is still emptied; its other end would wait for ever otherwise.
                if self._error is None:
                    self._predictions.add(*entry)
            except Exception as error:
                self._error = error
            finally:
                self._queue.task_done()


def _place(arrays: Arrays, name: str, rows: np.ndarray, start: int, total: int) -> None:
    if name not in arrays:
        arrays[name] = np.empty((total,) + rows.shape[1:], rows.dtype)
    arrays[name][start : start + len(rows)] = rows


def _bad_prediction(name: str, rows: np.ndarray, count: int) -> StageFailure:
    return StageFailure(
        "contract",
        "the task decoded {!r} as {} {} for {} items".format(
            name, rows.dtype, list(rows.shape), count
        ),
        "decode() in the case's task.py must return arrays of numbers, with one row per item",
    )
