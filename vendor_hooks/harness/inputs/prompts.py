"""The core loop's prompts for a language model: of real items, and changed before every call.

The first tokens of a prompt, and some of the others, are replaced by random tokens of the dataset. No engine has
seen a prompt before, nor the beginning of one, whose keys and values it could have kept.
"""

import os
from typing import Any, Callable, Dict

import numpy as np

from harness.errors import StageFailure
from harness.inputs.batch_loader import ItemSource
from harness.inputs.core_pool import Feed
from harness.job import Arrays, Job

#: Tokens at the beginning that are replaced, and the share of all that are besides.
FIRST, SHARE = 8, 0.125


class Prompts(Feed):
    """Batches of prompts: int64 [batch, prompt] by the input's name. ``real`` has windows of the dataset, unchanged."""

    def __init__(
        self, job: Job, source: ItemSource, count: int, empty: Callable[..., np.ndarray] = np.empty
    ) -> None:
        assert job.generation is not None, "only a case of generation has prompts"
        self._name = job.inputs[0].name
        self._length = job.generation.prompt
        self.batch_size = job.batch_size
        self.real = _windows(job, source, count)
        # Drawn here, in the process that measures: job.json is readable to the hook.
        self.seed = int.from_bytes(os.urandom(4), "little")
        self.random = np.random.RandomState(self.seed)
        self._batch = empty((self.batch_size, self._length), np.int64)
        self._rows = np.arange(self.batch_size)[:, None]
        self._first = np.arange(min(FIRST, self._length))
        self._others = int(SHARE * self._length)
        self._pool = self.real.ravel()

    def first(self) -> Arrays:
        """A changed prompt too: nothing depends on which one is the first."""
        return self.take()

    def take(self) -> Arrays:
        """Change the batch and return it; the engine has read the last one, since only one is in flight."""
        random, size = self.random, self.batch_size
        self._batch[...] = self.real[random.randint(len(self.real), size=size), : self._length]
        places = np.empty((size, len(self._first) + self._others), np.int64)
        places[:, : len(self._first)] = self._first
        places[:, len(self._first) :] = random.randint(self._length, size=(size, self._others))
        drawn = random.randint(len(self._pool), size=places.shape)
        self._batch[self._rows, places] = self._pool[drawn]
        return {self._name: self._batch}

    def release(self) -> None:
        """Nothing to do: only one batch is in flight."""

    def document(self) -> Dict[str, Any]:
        """What the report says of these inputs."""
        return {
            "seed": self.seed,
            "items": len(self.real),
            "changed_tokens": len(self._first) + self._others,
        }


def _windows(job: Job, source: ItemSource, count: int) -> np.ndarray:
    """The first windows of the dataset, [N, prompt + tokens]: as many as the core loop takes of other inputs.

    Of longer items the first tokens. Raises StageFailure (contract) for shorter ones.
    """
    assert job.generation is not None, "only a case of generation has windows"
    name, size = job.inputs[0].name, job.generation.prompt + job.generation.tokens
    (length,), dtype = source.layout[name]
    if length < size:
        raise StageFailure(
            "contract",
            "the task prepares items of {} tokens, fewer than a prompt and its {}".format(
                length, size
            ),
            "let prepare() in the case's task.py return at least prompt + tokens",
        )
    wanted = min(count, job.measure.core_batches * job.batch_size)
    windows = np.empty((wanted, size), dtype)
    item = {key: np.empty((1, *shape), kind) for key, (shape, kind) in source.layout.items()}
    for position in range(wanted):
        source.fill(position, 0, item)
        windows[position] = item[name][0, :size]
    return windows
