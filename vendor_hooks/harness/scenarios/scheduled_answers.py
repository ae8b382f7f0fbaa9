"""Answers of an engine that schedules sequences by itself: each prompt joins those that run, as in a real server."""

import threading
from typing import Any, Dict, List, Sequence

import numpy as np

from harness import clock
from harness.job import Arrays
from harness.loops.core_check import shortfalls
from harness.loops.scheduled_loop import unknown_sequence
from harness.scenarios.answers import Kept
from harness.scenarios.logged_thread import LoggedThread
from harness.scenarios.token_answers import FIRST, TOKENS, TokenAnswers

SHORTFALL = "shortfall"


class Asked:
    """A sequence that runs: LoadGen's id of its response, its sample, and the ids that it has so far."""

    def __init__(self, response: Any, sample: int) -> None:
        self.response = response
        self.sample = sample
        self.ids: List[int] = []


class ScheduledAnswers(TokenAnswers):
    """Hands every prompt to the engine when LoadGen asks; a thread of its own reports tokens as they arrive.

    How many sequences advance at once is the engine's business, at most a batch. What is kept of an answer are its ids.
    A call is an arrival of tokens, a step of the engine's; ``batches`` are so many that samples ÷ batches is the mean
    number of sequences that a step advanced.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._worker = LoggedThread("tokens")
        self.threads.append(self._worker)

    def begin(self, accuracy: bool) -> None:
        """See Answers; then wait for queries."""
        super().begin(accuracy)
        self._running: Dict[int, Asked] = {}
        self._next = 0
        self._over = False
        #: A permit for each sequence that was added, and one for the end.
        self._added = threading.Semaphore(0)
        self.issue = self.guarded(self._add)
        self._worker.start(self.guarded(self._work))

    def end(self) -> None:
        """See Answers; then wait for the thread."""
        super().end()
        self._over = True
        self._added.release()
        self._worker.join()
        self.batches = max(1, round(self.calls / self._count))

    def compute(self, samples: Sequence[int]) -> Arrays:
        """The ids of samples [samples, tokens], with nothing else on the engine."""
        started = clock.now_ns()
        rows: List[List[int]] = [[] for _ in samples]
        self._engine.add(range(len(rows)), self._prompts_of(samples), self._count)
        while min(len(row) for row in rows) < self._count:
            for number, token in self._engine.advance():
                if not any(rows):
                    self._first_ns = clock.now_ns() - started
                rows[number].append(token)
        return {TOKENS: np.array(rows, np.int32)}

    def warm_up(self, samples: Sequence[int]) -> None:
        """Whole sequences of this size: what a scheduler makes of fewer tokens is other steps."""
        self.compute(samples)

    def again(self, samples: Sequence[int], kept: Dict[int, Arrays]) -> Arrays:
        """How far the ids that were kept are from the most probable ones, [samples], by logits that are computed now."""
        ids = np.concatenate([kept[sample][TOKENS] for sample in samples])
        size = len(ids)
        self._prompts[:size] = self._prompts_of(samples)
        worst = np.zeros(size)
        logits = self._logits({self._input: self._prompts[:size]}, size)
        for step in range(self._count):
            if step:
                self._step[:size] = ids[:, step - 1]
                logits = self._logits({self._input: self._step[:size]}, size)
            worst = np.maximum(worst, shortfalls(logits, ids[:, step]))
        return {SHORTFALL: worst}

    def difference(self, ours: Arrays, theirs: Arrays) -> float:
        """See Answers; of ids and logits, or of what ``again`` found."""
        if SHORTFALL in theirs:
            return float(theirs[SHORTFALL][0])
        if FIRST not in theirs:
            return 0.0  # the whole loop's prompts are others
        return float(shortfalls(theirs[FIRST][:, 0], ours[TOKENS][:, 0])[0])

    def _prompts_of(self, samples: Sequence[int]) -> np.ndarray:
        windows = self._library.batch(samples, len(samples))[self._input]
        return windows[:, : self._length]

    def _add(self, ids: Sequence[int], samples: Sequence[int]) -> None:
        """Let a query's sequences join: as many at once as the library has buffers for."""
        for start in range(0, len(ids), self._size):
            some = samples[start : start + self._size]
            numbers = range(self._next, self._next + len(some))
            self._next += len(some)
            for number, response, sample in zip(numbers, ids[start:], some):
                self._running[number] = Asked(response, sample)
            self._engine.add(numbers, self._prompts_of(some), self._count)
            for _ in some:
                self._added.release()

    def _work(self) -> None:
        unfinished = 0
        while True:
            if not unfinished:
                self._added.acquire()
                unfinished = 1
            while self._added.acquire(blocking=False):
                unfinished += 1
            if self._over:
                return
            unfinished -= self._arrive()

    def _arrive(self) -> int:
        """Report the next tokens; return how many sequences they ended."""
        pairs = self._engine.advance()
        self.calls += 1
        first, done = [], []
        for number, token in pairs:
            asked = self._running.get(number)
            if asked is None:
                raise unknown_sequence(number)
            asked.ids.append(token)
            if len(asked.ids) == 1:
                first.append(asked)
            if len(asked.ids) == self._count:
                done.append(self._running.pop(number))
        if first and self._report_first is not None:
            self._report_first(self._answered(first, 1, 0))
        if done:
            self._finish(done)
        return len(done)

    def _answered(self, some: Sequence[Asked], length: int, count: int) -> List[Any]:
        ids = np.array([one.ids[:length] for one in some], np.int32)
        return self._responses([one.response for one in some], ids, count)

    def _finish(self, done: Sequence[Asked]) -> None:
        self.samples += len(done)
        if self._accuracy:
            ids = np.array([one.ids for one in done], np.int32)[:, :1]
            self._remember([one.sample for one in done], {TOKENS: ids}, {TOKENS: ids})

        def logged(chosen: Any) -> None:
            """LoadGen wants to log this response."""
            one = next(one for one in done if one.response == chosen.id)
            self.kept.append(Kept(one.sample, {TOKENS: np.array([one.ids], np.int32)}))

        responses = self._answered(done, self._count, self._count)
        self._report(responses, None if self._accuracy else logged)
