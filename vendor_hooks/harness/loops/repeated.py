"""Repeated inputs against fresh ones, for an audit: an engine that remembers outputs is faster with the former."""

from typing import Callable, Dict, List

import numpy as np

from harness.engine import Engine
from harness.inputs.core_pool import CorePool, Feed
from harness.job import Arrays
from harness.loops.core import LoopRun, core_loop

#: Rounds, each with both loops; their order alternates, so that a drift is in both alike.
ROUNDS = 10
#: Seconds of one loop: this share of the core loop's, within these limits.
SHARE, SHORTEST_S, LONGEST_S = 0.05, 0.25, 3.0
#: Calls of one loop at least, for each batch in flight.
CALLS = 3


class RepeatedBatch(Feed):
    """Hands one batch over again and again: the same items at the same address.

    Windows of the pool are changed all the same, so that both loops pay for it.
    """

    def __init__(self, pool: CorePool, empty: Callable[..., np.ndarray] = np.empty) -> None:
        self._pool = pool
        self._batch: Arrays = {}
        for name, array in pool.first().items():
            # Where the engine reads without a copy, as it does with fresh inputs.
            self._batch[name] = empty(array.shape, array.dtype)
            self._batch[name][...] = array

    def first(self) -> Arrays:
        """The batch."""
        return self._batch

    def take(self) -> Arrays:
        """Change a window of the pool, and return the batch."""
        self._pool.take()
        return self._batch

    def release(self) -> None:
        """Let the oldest window be changed again."""
        self._pool.release()


def repeated_against_fresh(
    engine: Engine, pool: CorePool, min_seconds: float
) -> Dict[str, List[float]]:
    """Calls per second with fresh inputs and with repeated ones, round by round."""
    feeds = {"fresh": pool, "repeated": RepeatedBatch(pool, engine.empty)}  # type: Dict[str, Feed]
    rates = {name: [] for name in feeds}  # type: Dict[str, List[float]]
    seconds = seconds_of_a_loop(min_seconds)
    # What an engine sets up for a new address is done before it is timed.
    core_loop(engine, feeds["repeated"], CALLS * engine.in_flight, 0.0)
    for number in range(ROUNDS):
        for name in sorted(feeds, reverse=bool(number % 2)):
            run = core_loop(engine, feeds[name], CALLS * engine.in_flight, seconds)
            rates[name].append(calls_per_second(run))
    return rates


def seconds_of_a_loop(min_seconds: float) -> float:
    """How long each loop runs, beside a core loop of ``min_seconds``."""
    return min(LONGEST_S, max(SHORTEST_S, SHARE * min_seconds))


def calls_per_second(run: LoopRun) -> float:
    """The rate of a loop."""
    return run.calls * 1e9 / run.wall_ns
