"""Answers of a language model: whole batches of sequences, with their first tokens reported as they come."""

from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np

from harness import clock
from harness.engine import Engine
from harness.job import Arrays, Job, Scenario
from harness.outputs.contract import require_finite
from harness.scenarios.answers import Answers, Flying, Kept, QueuedAnswers
from harness.scenarios.sample_library import SampleLibrary
from harness.task import Task

FIRST, LAST, TOKENS = "first", "last", "tokens"


class TokenAnswers(Answers):
    """Generates batch after batch: prompts that come meanwhile wait for the batch to end.

    A sample is a prompt; its answer is ``tokens`` ids, each the most probable one after those before it. What is kept of
    an answer: these ids, and the logits of the first and of the last one.
    """

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
        assert job.generation is not None, "only a language model has tokens"
        assert job.scenario is not None, "only a job with a scenario has answers"
        super().__init__(loadgen, engine, library, task, job, depth=depth)
        self._input, self._output = job.inputs[0].name, job.outputs[0].name
        self._length, self._count = job.generation.prompt, job.generation.tokens
        self._prompts = engine.empty((job.batch_size, self._length), np.int64)
        self._step = engine.empty((job.batch_size,), np.int64)
        # LoadGen wants none of Offline.
        self._report_first = loadgen.FirstTokenComplete if job.scenario.name != "offline" else None
        self._first_ns = 0
        self.items_of_a_sample = self._count

    def compute(self, samples: Sequence[int]) -> Arrays:
        """The ids of samples [samples, tokens] and two of their logits, with nothing else on the engine."""
        started = clock.now_ns()

        def first(_: np.ndarray) -> None:
            self._first_ns = clock.now_ns() - started

        return self._generated(samples, first)

    def warm_up(self, samples: Sequence[int]) -> None:
        """A prefill and a decode step of this size."""
        self._generated(samples, None, None, 2)

    def again(self, samples: Sequence[int], kept: Dict[int, Arrays]) -> Arrays:
        """The two logits of samples, after the ids that were kept: another id would be another sequence."""
        ids = np.concatenate([kept[sample][TOKENS] for sample in samples])
        found = self._generated(samples, None, ids)
        return {FIRST: found[FIRST], LAST: found[LAST]}

    def late(self, taken_ns: int, scenario: Scenario) -> bool:
        """Whether the first token, or one of those after it, comes too late even alone."""
        each = (taken_ns - self._first_ns) / float(self._count - 1)
        return self._first_ns > scenario.latency_bound_ns or each > scenario.token_bound_ns

    def scored(self, found: Arrays) -> Arrays:
        """The first token's: the whole loop feeds the true tokens, which are others."""
        names = {self._output: FIRST, TOKENS: TOKENS}
        return {names[name]: array[:, :1] for name, array in found.items() if name in names}

    def _submit(self, ids: Sequence[int], samples: Sequence[int]) -> Flying:
        return Flying(ids, samples, len(samples), None)

    def _complete(self, batch: Flying) -> None:
        def first(ids: np.ndarray) -> None:
            if self._report_first is not None:
                self._report_first(self._responses(batch.ids, ids[:, :1], 0))

        found = self._generated(batch.samples, first)
        self.batches += 1
        self.samples += len(batch.ids)
        ids = found[TOKENS]
        if self._accuracy:
            require_finite({FIRST: found[FIRST]}, [str(sample) for sample in batch.samples])
            raw = {FIRST: found[FIRST][:, None]}
            self._remember(batch.samples, raw, {TOKENS: ids[:, :1]})

        def logged(chosen: Any) -> None:
            self._keep_sequence(chosen, batch, found)

        responses = self._responses(batch.ids, ids, self._count)
        self._report(responses, None if self._accuracy else logged)

    def _keep_sequence(self, response: Any, batch: Flying, found: Arrays) -> None:
        row = batch.ids.index(response.id)
        one = {name: array[row : row + 1].copy() for name, array in found.items()}
        require_finite({LAST: one[LAST]}, ["{} of the dataset".format(batch.samples[row])])
        self.kept.append(Kept(batch.samples[row], one))

    def _responses(self, numbers: Sequence[int], ids: np.ndarray, count: int) -> List[Any]:
        """LoadGen's responses with ids [samples, n] as content, and as many tokens as ``count``."""
        self._content = np.ascontiguousarray(ids)
        size, start = self._content.nbytes // len(numbers), self._content.ctypes.data
        response = self._response
        return [response(one, start + n * size, size, count) for n, one in enumerate(numbers)]

    def _generated(
        self,
        samples: Sequence[int],
        first: Optional[Callable[[np.ndarray], None]],
        given: Optional[np.ndarray] = None,
        count: int = 0,
    ) -> Arrays:
        """Ids int32 [samples, count], and the first and the last logits [samples, vocabulary].

        ``first`` is called with the ids when the first of each is there. With ``given`` ids, these are fed instead.
        """
        number, count = len(samples), count or self._count
        rows = len(self._step) if self._engine.static_batch else number
        windows = self._library.batch(samples, rows)[self._input]
        self._prompts[:rows] = windows[:, : self._length]
        ids = np.zeros((number, count), np.int32)
        logits = self._logits({self._input: self._prompts[:rows]}, rows)
        kept = logits[:number].copy()
        for step in range(count):
            if step:
                logits = self._logits({self._input: self._step[:rows]}, rows)
            # The rest of a static batch needs tokens too.
            chosen = logits.argmax(1)
            ids[:, step] = chosen[:number]
            if not step and first is not None:
                first(ids)
            self._step[:rows] = chosen
            if given is not None:
                self._step[:number] = given[:, step]
        return {TOKENS: ids, FIRST: kept, LAST: logits[:number].copy()}

    def _logits(self, inputs: Arrays, rows: int) -> np.ndarray:
        self.calls += 1
        outputs = self._engine.wait(self._engine.submit(inputs))
        return self.contract.checked(outputs, rows, rows)[self._output]


class QueuedTokenAnswers(TokenAnswers, QueuedAnswers):
    """The same in a thread of its own: for Server."""
