"""Answers LoadGen's queries with an engine: batches of at most the batch size, completed as their outputs arrive."""

import collections
import queue
import threading
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from harness.engine import Engine
from harness.job import Arrays, Job, Scenario
from harness.loops.core_check import relative_difference
from harness.outputs.contract import OutputContract, require_finite
from harness.scenarios.logged_thread import LoggedThread
from harness.scenarios.sample_library import SampleLibrary
from harness.task import Task

Step = Callable[..., None]


class Flying(NamedTuple):
    """A batch that was submitted: LoadGen's ids of its responses, and their samples."""

    ids: Sequence[int]
    samples: Sequence[int]
    rows: int
    ticket: Any


class Kept(NamedTuple):
    """A response whose content LoadGen logged in a performance run: the sample and its outputs, copied."""

    sample: int
    outputs: Arrays


class Answers:
    """Answers in LoadGen's own thread, as all scenarios but Server want it: its next query waits for this one.

    ``depth`` batches are in flight at once. ``ended`` is set when the test is over, or an answer failed.
    """

    #: What the core loop counts of a sample.
    items_of_a_sample = 1

    def __init__(
        self,
        loadgen: Any,
        engine: Engine,
        library: SampleLibrary,
        task: Task,
        job: Job,
        *,
        depth: int,
    ) -> None:
        self._response = loadgen.QuerySampleResponse
        self._report = loadgen.QuerySamplesComplete
        self._engine = engine
        self._library = library
        self._task = task
        self.contract = OutputContract(job)
        self._size = job.batch_size
        self._depth = depth
        self._golden = job.golden_count
        self._accuracy = False
        self._error: Optional[BaseException] = None
        self._stopped = False
        #: What a response points to until LoadGen has copied it.
        self._content: Any = None
        self.ended = threading.Event()
        #: The one that LoadGen runs its tests in, which answers here, and others that answer.
        self.threads = [LoggedThread("loadgen")]
        self.calls = self.batches = self.samples = 0
        #: Of a performance run.
        self.kept: List[Kept] = []
        #: Of an accuracy run: predictions of every sample by name, [samples, …], and raw outputs of the first ones.
        self.predictions: Arrays = {}
        self.raw: Dict[int, Arrays] = {}
        #: Called by LoadGen with the ids of a query's responses and their samples.
        self.issue: Step = self.guarded(self._answer)

    def begin(self, accuracy: bool) -> None:
        """Get ready for a test in accuracy or in performance mode."""
        self._accuracy = accuracy
        self.ended.clear()
        self.calls = self.batches = self.samples = 0
        self.kept = []

    def end(self) -> None:
        """Raise what an answer raised, if one did."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End the threads, after the last test."""
        for thread in self.threads:
            thread.end()

    def stop(self) -> None:
        """Answer nothing any more."""
        self._stopped = True

    def flush(self) -> None:
        """Nothing to do: no query waits for another one."""

    def guarded(self, step: Step) -> Step:
        """``step``, for a thread of LoadGen: its error ends the test, and the thread never returns from it."""

        def call(*arguments: Any) -> None:
            try:
                if self._stopped:
                    threading.Event().wait()
                step(*arguments)
            except BaseException as error:  # whatever it was, the main thread raises it
                self._error = error
                self.ended.set()
                threading.Event().wait()

        return call

    def compute(self, samples: Sequence[int]) -> Arrays:
        """The outputs of samples, at most a batch of them, with nothing else on the engine; [samples, …], copied."""
        batch = self._submit([], samples)
        outputs = self.contract.checked(self._engine.wait(batch.ticket), len(samples), batch.rows)
        return {name: array.copy() for name, array in outputs.items()}

    def warm_up(self, samples: Sequence[int]) -> None:
        """Let the engine see a batch of this size."""
        self.compute(samples)

    def again(self, samples: Sequence[int], kept: Dict[int, Arrays]) -> Arrays:  # noqa: ARG002
        """What ``kept`` has of samples, computed once more in a batch of their own."""
        return self.compute(samples)

    def late(self, taken_ns: int, scenario: Scenario) -> bool:
        """Whether a query that takes so long alone misses the latency bound."""
        return taken_ns > scenario.latency_bound_ns

    def difference(self, ours: Arrays, theirs: Arrays) -> float:
        """How far a sample's outputs are from what another run gave for it, as a relative difference."""
        return relative_difference(ours, {name: theirs[name] for name in ours if name in theirs})

    def scored(self, found: Arrays) -> Arrays:
        """What of the whole loop's outputs or predictions is comparable with ``raw`` and ``predictions``."""
        return found

    def _answer(self, ids: Sequence[int], samples: Sequence[int]) -> None:
        if len(ids) <= self._size:
            self._complete(self._submit(ids, samples))
            return
        flying: Deque[Flying] = collections.deque()
        for start in range(0, len(ids), self._size):
            if len(flying) >= self._depth:
                self._complete(flying.popleft())
            end = start + self._size
            flying.append(self._submit(ids[start:end], samples[start:end]))
        while flying:
            self._complete(flying.popleft())

    def _submit(self, ids: Sequence[int], samples: Sequence[int]) -> Flying:
        rows = self._size if self._engine.static_batch else len(samples)
        inputs = self._library.batch(samples, rows)
        return Flying(ids, samples, rows, self._engine.submit(inputs))

    def _complete(self, batch: Flying) -> None:
        outputs = self._engine.wait(batch.ticket)
        self.calls += 1
        self.batches += 1
        self.samples += len(batch.ids)
        if self._accuracy:
            checked = self.contract.checked(outputs, len(batch.ids), batch.rows)
            require_finite(checked, [str(sample) for sample in batch.samples])
            predictions = self._task.decode(checked)
            self._remember(batch.samples, checked, predictions)
            self._content = _logged(predictions)
            size, start = self._content.nbytes // len(batch.ids), self._content.ctypes.data
            self._report(
                [self._response(one, start + n * size, size) for n, one in enumerate(batch.ids)]
            )
            return
        response = self._response

        def logged(chosen: Any) -> None:
            """LoadGen wants to log this response."""
            self._keep(chosen, batch, outputs)

        self._report([response(one, 0, 0) for one in batch.ids], logged)

    def _keep(self, response: Any, batch: Flying, outputs: Any) -> None:
        row = batch.ids.index(response.id)
        checked = self.contract.checked(outputs, len(batch.ids), batch.rows)
        one = {name: array[row : row + 1].copy() for name, array in checked.items()}
        require_finite(one, ["{} of the dataset".format(batch.samples[row])])
        self.kept.append(Kept(batch.samples[row], one))
        self._content = _logged(self._task.decode(one))
        response.data, response.size = self._content.ctypes.data, self._content.nbytes

    def _remember(self, samples: Sequence[int], raw: Arrays, predictions: Arrays) -> None:
        """Keep what accuracy mode gave: predictions of all samples, raw outputs of the golden ones."""
        for name, array in predictions.items():
            if name not in self.predictions:
                shape = (self._library.total,) + array.shape[1:]
                self.predictions[name] = np.zeros(shape, array.dtype)
            self.predictions[name][list(samples)] = array
        for row, sample in enumerate(samples):
            if sample < self._golden:
                self.raw[sample] = {n: array[row : row + 1].copy() for n, array in raw.items()}


class QueuedAnswers(Answers):
    """Answers in a thread of its own, since LoadGen's own issues queries by its clock: for Server.

    When the engine is free, everything that waits, up to the batch size, becomes a batch. Nothing waits for a fuller one.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._worker = LoggedThread("server")
        self.threads.append(self._worker)

    def begin(self, accuracy: bool) -> None:
        """See Answers; then wait for queries."""
        super().begin(accuracy)
        self._queue: "queue.SimpleQueue[Any]" = queue.SimpleQueue()
        self.issue = self._put
        self._worker.start(self.guarded(self._work))

    def end(self) -> None:
        """See Answers; then wait for the thread."""
        super().end()
        self._queue.put(None)
        self._worker.join()

    def _put(self, ids: Sequence[int], samples: Sequence[int]) -> None:
        """Let a query wait."""
        for pair in zip(ids, samples):
            self._queue.put(pair)

    def _work(self) -> None:
        flying: Deque[Flying] = collections.deque()
        while True:
            waiting = self._waiting(block=not flying)
            if waiting is None:
                return
            if waiting:
                flying.append(
                    self._submit([number for number, _ in waiting], [one for _, one in waiting])
                )
            if len(flying) >= self._depth or not waiting:
                self._complete(flying.popleft())

    def _waiting(self, block: bool) -> Optional[List[Any]]:
        """What waits, at most a batch of it; None at the end of the test."""
        found: List[Any] = []
        try:
            while len(found) < self._size:
                one = self._queue.get(block and not found)
                if one is None:
                    return None
                found.append(one)
        except queue.Empty:
            pass
        return found


def _logged(predictions: Arrays) -> np.ndarray:
    """What LoadGen's accuracy log gets of each item: its first prediction, as raw bytes of its dtype."""
    return np.ascontiguousarray(next(iter(predictions.values())))
