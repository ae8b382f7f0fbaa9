"""A language model's core loop: prompts in, tokens out, each the most probable one after those before it."""

from typing import Any, Dict, Optional

import numpy as np

from harness import clock
from harness.engine import Engine
from harness.inputs.core_pool import Feed
from harness.job import Job, Measure
from harness.loops.core import WINDOW_NS, LoopRun, More, WarmUp
from harness.outputs.progress import ProgressFile
from harness.outputs.sequence_samples import Kept, SequenceSamples


class TokenLoop:
    """Generates batches of sequences. A call is a prefill or a decode step; choosing tokens is part of its time."""

    def __init__(self, engine: Engine, prompts: Feed, job: Job) -> None:
        assert job.generation is not None, "only a case of generation has tokens"
        self._engine = engine
        self._prompts = prompts
        self._input, self._output = job.inputs[0].name, job.outputs[0].name
        self._decodes = range(job.generation.tokens - 1)
        self._tokens = engine.empty((job.batch_size,), np.int64)
        self._step = {self._input: self._tokens}

    def run(
        self,
        more: More,
        progress: Optional[ProgressFile] = None,
        samples: Optional[SequenceSamples] = None,
    ) -> LoopRun:
        """Generate whole sequences while ``more`` asks for another batch of them."""
        run = LoopRun()
        run.knows_phases = False
        sequences = 0
        run.started_ns = now = clock.now_ns()
        if progress is not None:
            progress.loop_began("core")
        while more(sequences, now - run.started_ns):
            now = self._sequence(run, samples.next() if samples is not None else None)
            sequences += 1
            if progress is not None:
                progress.done = run.calls
        if progress is not None:
            progress.loop_ended()
        return run

    def _sequence(self, run: LoopRun, kept: Optional[Kept]) -> int:
        """Generate one batch; returns when its last logits were in host memory."""
        engine, output, tokens, completed = (
            self._engine,
            self._output,
            self._tokens,
            run.completed_ns,
        )
        given = self._prompts.take()
        logits = engine.wait(engine.submit(given))[output]
        now = clock.now_ns()
        completed.append(now)
        if kept is not None:
            kept.step(given[self._input], logits)
        for _ in self._decodes:
            logits.argmax(1, tokens)
            logits = engine.wait(engine.submit(self._step))[output]
            now = clock.now_ns()
            completed.append(now)
            if kept is not None:
                kept.step(tokens, logits)
        self._prompts.release()
        return now


def warm_up(loop: TokenLoop, measure: Measure, tokens: int) -> WarmUp:
    """Generate until the medians of two successive windows agree within steady_tolerance, or time is up.

    A window is so many batches as take WINDOW_NS; its median is of the time of a batch.
    """
    warm = WarmUp()
    started = clock.now_ns()
    run = loop.run(_one)
    warm.first_call_ns = int(run.samples_ns()[0])
    warm.calls, warm.call_ns = run.calls, run.wall_ns
    warm.wall_ns = clock.now_ns() - started
    limit_ns = int(measure.warmup_max_seconds * clock.NS_PER_S)
    previous = None  # type: Optional[float]
    while not warm.steady and warm.wall_ns < limit_ns:
        run = loop.run(_window(limit_ns - warm.wall_ns))
        batches = run.samples_ns().reshape(-1, tokens).sum(axis=1)
        median = float(np.median(batches))
        warm.steady = (
            previous is not None and abs(median - previous) <= measure.steady_tolerance * previous
        )
        previous = median
        warm.calls += run.calls
        warm.call_ns = int(median)
        warm.wall_ns = clock.now_ns() - started
    return warm


def for_seconds(seconds: float) -> More:
    """At least one batch, and for so long."""
    limit_ns = int(seconds * clock.NS_PER_S)

    def more(sequences: int, elapsed_ns: int) -> bool:
        return sequences < 1 or elapsed_ns < limit_ns

    return more


def _one(sequences: int, _: int) -> bool:
    return sequences < 1


def _window(left_ns: int) -> More:
    def more(sequences: int, elapsed_ns: int) -> bool:
        return sequences < 1 or elapsed_ns < min(WINDOW_NS, left_ns)

    return more


class RepeatedPrompts(Feed):
    """Hands the same prompts over again and again; others are drawn all the same, so that both cost alike."""

    def __init__(self, prompts: Feed) -> None:
        self._prompts = prompts
        self._first: Dict[str, Any] = {}
        for name, array in prompts.first().items():
            self._first[name] = array.copy()

    def take(self) -> Dict[str, Any]:
        """Draw prompts, and return the first ones."""
        self._prompts.take()
        return self._first

    def release(self) -> None:
        """Nothing to do: only one batch is in flight."""
