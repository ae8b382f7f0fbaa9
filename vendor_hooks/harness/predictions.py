"""What happens to outputs: checked, decoded, kept; in a thread of its own beside the device."""

import queue
import threading

import numpy as np

from harness import outputs as contract
from harness.errors import StageFailure

#: Batches whose outputs may wait to be decoded; more only costs memory.
WAITING = 4


class Predictions:
    """The decoded predictions of ``total`` items, and the raw outputs of the first ``raw_total``."""

    def __init__(self, task, ids, raw_total):
        self._task = task
        self.ids = ids
        self._raw_total = min(raw_total, len(ids))
        self.arrays = {}
        self.raw = {}
        self.count = 0

    def add(self, start, count, outputs):
        """Check, decode and keep the outputs of items ``start`` … ``start + count``."""
        contract.require_finite(outputs, self.ids[start : start + count])
        self._keep_raw(start, count, outputs)
        for name, decoded in self._task.decode(outputs).items():
            rows = np.asarray(decoded)
            if rows.shape[:1] != (count,) or rows.dtype.kind not in "biuf":
                raise _bad_prediction(name, rows, count)
            _place(self.arrays, name, rows, start, len(self.ids))
        self.count = start + count

    def written(self):
        """Name → array of the items that were reached, in index order."""
        return {name: array[: self.count] for name, array in self.arrays.items()}

    def _keep_raw(self, start, count, outputs):
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

    def raw_written(self):
        """Name → raw outputs of the first items that were reached."""
        reached = min(self.count, self._raw_total)
        return {
            name: array[: len(array) // self._raw_total * reached]
            for name, array in self.raw.items()
        }


class Decoder:
    """Feeds Predictions from a thread, in order; an error there ends the loop at its next batch."""

    def __init__(self, predictions):
        self._predictions = predictions
        self._queue = queue.Queue(WAITING)
        self._error = None
        self._thread = threading.Thread(target=self._work, name="decoder", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._queue.put(None)
        self._thread.join()

    def put(self, start, count, outputs):
        """Queue one batch's outputs; raises what an earlier batch raised."""
        self.check()
        self._queue.put((start, count, outputs))

    def finish(self):
        """Wait until all is decoded; raises what went wrong."""
        self._queue.join()
        self.check()

    def check(self):
        """Raise the error of an earlier batch, if there was one."""
        if self._error is not None:
            raise self._error

    def _work(self):
        while True:
            entry = self._queue.get()
            try:
                if entry is None:
                    return
                # After an error the queue is still emptied, or its other end would wait for ever.
                if self._error is None:
                    self._predictions.add(*entry)
            except Exception as error:
                self._error = error
            finally:
                self._queue.task_done()


def _place(arrays, name, rows, start, total):
    if name not in arrays:
        arrays[name] = np.empty((total,) + rows.shape[1:], rows.dtype)
    arrays[name][start : start + len(rows)] = rows


def _bad_prediction(name, rows, count):
    return StageFailure(
        "contract",
        "the task decoded {!r} as {} {} for {} items".format(
            name, rows.dtype, list(rows.shape), count
        ),
        "decode() in the case's task.py must return arrays of numbers, one row an item",
    )
