"""An engine that schedules sequences by itself, and how the harness gets logits of such an engine."""

from typing import Any, Dict

import numpy as np

from harness.engine import Engine
from harness.errors import StageFailure
from harness.job import Job


class SchedulingEngine(Engine):
    """For an engine with continuous batching: implement ``add``, ``advance`` and ``last_logits``.

    The timed loops use ``add`` and ``advance`` alone. Where logits are needed (the whole loop, checks), each step of
    ``prefill`` and ``decode`` computes the sequences so far from their beginning: no such engine takes a token that it
    did not choose, and none is given one before it must be known.
    """

    schedules = True

    def last_logits(self, sequences: np.ndarray) -> np.ndarray:
        """Return the logits after the last token of int64 [n, length] sequences: float32 [n, vocabulary].

        Called only while no sequence runs.
        """
        raise NotImplementedError

    def prefill(self, tokens: np.ndarray) -> np.ndarray:
        """See Engine."""
        self._so_far = np.array(tokens)
        return self.last_logits(self._so_far)

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """See Engine."""
        self._so_far = np.concatenate([self._so_far, tokens[:, None]], axis=1)
        return self.last_logits(self._so_far)


def longest(job: Job) -> int:
    """The longest sequence of a job: prompts of a task's own length in the whole loop are longer than core's."""
    lengths = job.generation
    assert lengths is not None, "only a case of generation has sequences"
    wanted: int = max(lengths.prompt + lengths.tokens, job.preprocess.get("longest", 0) + 1)
    return min(wanted, lengths.context)


def require_room(job: Job, free_tokens: int) -> None:
    """Raise StageFailure (out_of_memory) unless a whole batch's keys and values are in the cache at once.

    An engine with less room would let sequences wait, or drop some and compute them again: its figures would be those
    of a smaller batch.
    """
    lengths = job.generation
    assert lengths is not None, "only a case of generation has sequences"
    needed = job.batch_size * (lengths.prompt + lengths.tokens)
    if free_tokens < needed:
        raise StageFailure(
            "out_of_memory",
            "the cache that engine {} made has room for {:,} tokens, but a batch of {} sequences of {} needs {:,}".format(
                job.engine, free_tokens, job.batch_size, lengths.prompt + lengths.tokens, needed
            ),
            "use a smaller BS, PROMPT or TOKENS",
        )


def require_uncached(cached: Any, engine: str) -> None:
    """Raise StageFailure (contract) if a prompt's tokens came from a cache of prompts: its prefill was not computed."""
    if cached:
        raise StageFailure(
            "contract",
            "{} took {} tokens of a prompt from its cache of prompts instead of computing them".format(
                engine, cached
            ),
            "switch the engine's cache of prompts off; its settings are in `effective` of the report",
        )


def require_setting(found: Dict[str, Any], name: str, wanted: Any, engine: str) -> None:
    """Raise StageFailure (contract) unless the engine reports a setting as it was requested."""
    if found.get(name) != wanted:
        raise StageFailure(
            "contract",
            "{} was asked for {}={!r} and reports {!r}".format(
                engine, name, wanted, found.get(name)
            ),
            "remove what overrides it: variables of the environment, a configuration in the image",
        )
