"""The whole loop: from the dataset's files to written predictions, every part overlapped."""

import array
import collections

import numpy as np

from harness import clock, files
from harness.loader import Loader
from harness.predictions import Decoder, Predictions
from harness.task import Task


class Whole:
    """One timed pass from files. ``static`` pads the last batch; ``checked`` is OutputContract's."""

    def __init__(self, engine, task, dataset, source, contract, job):
        self._engine = engine
        self._task = task
        self._ids = dataset.ids
        self._contract = contract
        self._job = job
        self._source = source
        self._steps = type(task).run is not Task.run
        self.predictions = Predictions(task, dataset.ids, job.golden_count)
        self.started_ns = 0
        self.wall_ns = 0
        self.completed_ns = array.array("q")
        self._calls = None

    def samples_ns(self):
        """Time between completions of batches, the first one from the start."""
        return np.diff(np.array(self.completed_ns, np.int64), prepend=self.started_ns)

    def run(self, limit_ns, progress, calls=None):
        """Go over the dataset once; stop after ``limit_ns`` where that is not None.

        ``calls`` (SingleCalls; one batch in flight) takes the model calls by themselves.
        Ends with predictions.npz on disk: writing it belongs to the figure.
        """
        engine, self._calls = self._engine, calls
        loader = Loader(
            self._source,
            self._job.batch_size,
            self._job.threads,
            engine.in_flight,
            engine.static_batch,
        )
        self.started_ns = clock.now_ns()
        with loader, Decoder(self.predictions) as decoder:
            advance = self._stepwise if self._steps else self._pipelined
            advance(loader, decoder, limit_ns, progress)
            decoder.finish()
        files.write_npz(self._job.out_dir / "predictions.npz", self.predictions.written())
        self.wall_ns = clock.now_ns() - self.started_ns

    def _pipelined(self, loader, decoder, limit_ns, progress):
        engine = self._engine
        flying = collections.deque()
        for batch in loader.batches(len(self._ids)):
            if batch.start and self._is_over(limit_ns):
                break
            submitted_ns = clock.now_ns() if self._calls is not None else 0
            flying.append((batch, submitted_ns, engine.submit(batch.inputs)))
            if len(flying) >= engine.in_flight:
                self._complete(*flying.popleft(), loader=loader, decoder=decoder)
                progress.done = batch.start
        while flying:
            self._complete(*flying.popleft(), loader=loader, decoder=decoder)

    def _complete(self, batch, submitted_ns, ticket, loader, decoder):
        outputs = self._engine.wait(ticket)
        now = clock.now_ns()
        self.completed_ns.append(now)
        if self._calls is not None:
            self._calls.add(submitted_ns, now, batch.rows)
        loader.release(batch)
        outputs = self._contract.checked(outputs, batch.count, batch.rows)
        if self._engine.reuses_outputs:
            outputs = {name: value.copy() for name, value in outputs.items()}
        decoder.put(batch.start, batch.count, outputs)

    def _stepwise(self, loader, decoder, limit_ns, progress):
        """For a task with several model calls an item: its own loop, one batch after the other."""
        for batch in loader.batches(len(self._ids)):
            if batch.start and self._is_over(limit_ns):
                break
            outputs = self._task.run(self._infer, batch.inputs)
            self.completed_ns.append(clock.now_ns())
            kept = {name: value[: batch.count].copy() for name, value in outputs.items()}
            loader.release(batch)
            decoder.put(batch.start, batch.count, kept)
            progress.done = batch.start + batch.count

    def _infer(self, inputs):
        rows = self._job.batch_size if self._engine.static_batch else items_in(inputs, self._job)
        submitted_ns = clock.now_ns()
        outputs = self._engine.wait(self._engine.submit(inputs))
        if self._calls is not None:
            self._calls.add(submitted_ns, clock.now_ns(), rows)
        return self._contract.checked(outputs, rows, rows)

    def _is_over(self, limit_ns):
        return limit_ns is not None and clock.now_ns() - self.started_ns >= limit_ns


def items_in(inputs, job):
    """How many items the arrays of one engine call hold, by the first batched input."""
    for spec in job.inputs:
        if spec.batched and spec.name in inputs:
            return inputs[spec.name].shape[0] // spec.rows_per_item
    return job.batch_size
