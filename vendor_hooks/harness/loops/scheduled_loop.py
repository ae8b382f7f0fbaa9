"""The core loop of an engine that schedules sequences by itself: batches of prompts in, tokens out as they come."""

from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from harness import clock
from harness.engine import Engine
from harness.errors import StageFailure
from harness.inputs.core_pool import Feed
from harness.job import Job
from harness.loops.core import LoopRun
from harness.loops.token_loop import TokenLoop
from harness.outputs.sequence_samples import Kept


class ScheduledLoop(TokenLoop):
    """Hands a batch of prompts over at once; a call ends when every sequence of the batch has its next token.

    So the first call of a batch ends with the last of its first tokens, and figures mean what they do for engines
    whose sequences advance together. Tokens are timed as they arrive in this process.
    """

    def __init__(self, engine: Engine, prompts: Feed, job: Job) -> None:
        super().__init__(engine, prompts, job)
        assert job.generation is not None, "only a case of generation has tokens"
        self._count = job.generation.tokens
        self._next = 0
        self._arrivals = self._tokens_arrived = 0
        self._first_ns: List[int] = []

    def document(self) -> Dict[str, Any]:
        """What the report says of the engine's scheduling: over all batches since this loop was made."""
        first = np.array(self._first_ns or [0], np.int64)
        return {
            "arrivals": self._arrivals,
            "tokens_an_arrival": self._tokens_arrived / float(max(1, self._arrivals)),
            "first_token_ns": {
                "earliest": int(first.min()),
                "median": int(np.median(first)),
                "last": int(first.max()),
            },
        }

    def _sequence(self, run: LoopRun, kept: Optional[Kept]) -> int:
        prompts = self._prompts.take()[self._input]
        started = clock.now_ns()
        batch = _Batch(self._next, len(prompts), self._count)
        self._next += len(prompts)
        self._engine.add(batch.numbers, prompts, self._count)
        while batch.done < self._count:
            pairs = self._engine.advance()
            now = clock.now_ns()
            first, steps = batch.take(pairs)
            run.completed_ns.extend([now] * steps)
            self._first_ns.extend([now - started] * first)
            self._arrivals += 1
            self._tokens_arrived += len(pairs)
        if kept is not None:
            kept.chosen(prompts, batch.ids)
        self._prompts.release()
        return now


class SteadyLoop:
    """A batch's worth of sequences that run all the time: a fresh prompt takes the place of each that ends.

    The first ones get fewer tokens, in even steps, so that later ones neither begin nor end together: prefills and
    decode steps then share the engine's steps, as under a server's load. What LoadGen measures is compared with this
    rate, since its prompts repeat and these do not.
    """

    def __init__(self, engine: Engine, prompts: Feed, job: Job) -> None:
        assert job.generation is not None, "only a case of generation has tokens"
        self._engine = engine
        self._prompts = prompts
        self._input = job.inputs[0].name
        self._size, self._count = job.batch_size, job.generation.tokens
        self._left: Dict[int, int] = {}
        self._next = 0

    def tokens_per_s(self, seconds: float) -> float:
        """Run for so long after the first sequences have ended, and for a batch at least."""
        for prompt in self._fresh(self._size):
            self._begin(prompt, 1 + self._next * self._count // self._size)
        self._until(lambda ended, _: ended >= self._size)
        started, limit_ns = clock.now_ns(), int(seconds * clock.NS_PER_S)
        tokens = self._until(lambda ended, now: ended >= self._size and now - started >= limit_ns)
        wall_ns = clock.now_ns() - started
        while self._left:
            self._arrive()
        return tokens * clock.NS_PER_S / float(wall_ns)

    def _until(self, over: Callable[[int, int], bool]) -> int:
        """Keep the batch full until ``over(sequences that ended, now)``; return the tokens that came."""
        ended = tokens = 0
        while not over(ended, clock.now_ns()):
            gone, came = self._arrive()
            ended += gone
            tokens += came
            for prompt in self._fresh(gone):
                self._begin(prompt, self._count)
        return tokens

    def _arrive(self) -> Tuple[int, int]:
        """Take what came; return how many sequences ended, and how many tokens there were."""
        pairs, ended = self._engine.advance(), 0
        for number, _token in pairs:
            left = self._left.pop(number, 0) - 1
            if left < 0:
                raise unknown_sequence(number)
            if left:
                self._left[number] = left
            ended += not left
        return ended, len(pairs)

    def _fresh(self, count: int) -> np.ndarray:
        """So many prompts that no engine has seen, [count, length]."""
        if not count:
            return np.empty((0, 0), np.int64)
        found: np.ndarray = self._prompts.take()[self._input][:count].copy()
        self._prompts.release()
        return found

    def _begin(self, prompt: np.ndarray, tokens: int) -> None:
        self._left[self._next] = tokens
        self._engine.add([self._next], prompt[None], tokens)
        self._next += 1


class _Batch:
    """The sequences of a batch as their tokens come: ids [size, count]; ``done`` tokens are there of all of them."""

    def __init__(self, first: int, size: int, count: int) -> None:
        self.numbers = range(first, first + size)
        self.ids = np.empty((size, count), np.int64)
        self.done = 0
        self._made = [0] * size

    def take(self, pairs: Any) -> Tuple[int, int]:
        """Note tokens; return how many of them are a sequence's first, and how many steps of the batch they end."""
        first = 0
        for number, token in pairs:
            row = number - self.numbers.start
            if not 0 <= row < len(self._made) or self._made[row] >= self.ids.shape[1]:
                raise unknown_sequence(number)
            first += not self._made[row]
            self.ids[row, self._made[row]] = token
            self._made[row] += 1
        before, self.done = self.done, min(self._made)
        return first, self.done - before


def unknown_sequence(number: int) -> StageFailure:
    """The failure of an engine that gives a token of a sequence that nobody asked for."""
    return StageFailure(
        "contract",
        "the engine gave a token of sequence {}, which has all of its tokens or was never begun".format(
            number
        ),
        "return as many tokens of a sequence as add() asked for, each once",
    )
