"""The whole loop: from the dataset's files to written predictions, with all steps overlapped."""

import array
import collections
from typing import Any, Deque, Optional, Tuple

import numpy as np

from harness import clock, files
from harness.engine import Engine
from harness.inputs.batch_loader import Batch, BatchLoader, ItemSource
from harness.inputs.dataset import Dataset
from harness.job import Arrays, Job, filled, items_in
from harness.loops.latency import SingleCalls
from harness.outputs.contract import OutputContract
from harness.outputs.predictions import DecodedPredictions, Decoder
from harness.outputs.progress import ProgressFile
from harness.task import Task


class WholeLoop:
    """One timed pass over the dataset; the last batch is padded for engines with a static batch."""

    def __init__(
        self,
        engine: Engine,
        task: Task,
        dataset: Dataset,
        source: ItemSource,
        contract: OutputContract,
        job: Job,
    ) -> None:
        self._engine = engine
        self._task = task
        self._ids = dataset.ids
        self._contract = contract
        self._job = job
        self._source = source
        self._steps = type(task).run is not Task.run
        self.predictions = DecodedPredictions(task, dataset.ids, job.golden_count)
        self.started_ns = 0
        self.wall_ns = 0
        #: Time spent in submit and wait, which core cannot undercut by much.
        self.engine_ns = 0
        self.completed_ns: "array.array[int]" = array.array("q")
        self._calls: Optional[SingleCalls] = None

    def samples_ns(self) -> np.ndarray:
        """Time between completions of batches, the first one from the start."""
        return np.diff(np.array(self.completed_ns, np.int64), prepend=self.started_ns)

    def run(
        self,
        limit_ns: Optional[int],
        progress: ProgressFile,
        calls: Optional[SingleCalls] = None,
    ) -> None:
        """Go over the dataset once; stop after ``limit_ns``, unless it is None.

        ``calls`` records each model call by itself (one batch in flight). The loop ends with
        predictions.npz on disk: writing it is part of the figure.
        """
        engine, self._calls = self._engine, calls
        loader = BatchLoader(
            self._source,
            self._job.batch_size,
            self._job.threads,
            engine.in_flight,
            engine.static_batch,
            engine.empty,
        )
        loader.make_buffers(len(self._ids))
        engine.settle()
        self.started_ns = clock.now_ns()
        progress.loop_began("whole")
        with loader, Decoder(self.predictions) as decoder:
            advance = self._stepwise if self._steps else self._pipelined
            advance(loader, decoder, limit_ns, progress)
            decoder.finish()
        files.write_npz(self._job.out_dir / "predictions.npz", self.predictions.written())
        self.wall_ns = clock.now_ns() - self.started_ns
        progress.loop_ended()

    def _pipelined(
        self,
        loader: BatchLoader,
        decoder: Decoder,
        limit_ns: Optional[int],
        progress: ProgressFile,
    ) -> None:
        engine = self._engine
        flying: Deque[Tuple[Batch, int, Any]] = collections.deque()
        for batch in loader.batches(len(self._ids)):
            if batch.start and self._is_over(limit_ns):
                break
            submitted_ns = clock.now_ns()
            flying.append((batch, submitted_ns, engine.submit(batch.inputs)))
            self.engine_ns += clock.now_ns() - submitted_ns
            if len(flying) >= engine.in_flight:
                self._complete(flying.popleft(), loader, decoder)
                progress.done = batch.start
        while flying:
            self._complete(flying.popleft(), loader, decoder)

    def _complete(
        self, submitted: Tuple[Batch, int, Any], loader: BatchLoader, decoder: Decoder
    ) -> None:
        batch, submitted_ns, ticket = submitted
        began = clock.now_ns()
        outputs = self._engine.wait(ticket)
        now = clock.now_ns()
        self.engine_ns += now - began
        self.completed_ns.append(now)
        if self._calls is not None:
            self._calls.add(submitted_ns, now, batch.rows)
        loader.release(batch)
        outputs = self._contract.checked(outputs, batch.count, batch.rows)
        if self._engine.reuses_outputs:
            outputs = {name: value.copy() for name, value in outputs.items()}
        decoder.put(batch.start, batch.count, outputs)

    def _stepwise(
        self,
        loader: BatchLoader,
        decoder: Decoder,
        limit_ns: Optional[int],
        progress: ProgressFile,
    ) -> None:
        """For a task with several model calls per item: its own loop, one batch after the other."""
        for batch in loader.batches(len(self._ids)):
            if batch.start and self._is_over(limit_ns):
                break
            outputs = self._task.run(self._infer, batch.inputs)
            self.completed_ns.append(clock.now_ns())
            kept = {name: value[: batch.count].copy() for name, value in outputs.items()}
            loader.release(batch)
            decoder.put(batch.start, batch.count, kept)
            progress.done = batch.start + batch.count

    def _infer(self, inputs: Arrays) -> Arrays:
        """One model call; of fewer items than a static batch has, filled with the last one."""
        count = items_in(inputs, self._job)
        rows = self._job.batch_size if self._engine.static_batch else count
        submitted_ns = clock.now_ns()
        outputs = self._engine.wait(self._engine.submit(filled(inputs, self._job, rows - count)))
        now = clock.now_ns()
        self.engine_ns += now - submitted_ns
        if self._calls is not None:
            self._calls.add(submitted_ns, now, rows)
        return self._contract.checked(outputs, count, rows)

    def _is_over(self, limit_ns: Optional[int]) -> bool:
        return limit_ns is not None and clock.now_ns() - self.started_ns >= limit_ns
