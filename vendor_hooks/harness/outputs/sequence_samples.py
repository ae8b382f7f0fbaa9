"""Sequences of a language model's core loop that are kept to be checked: chosen at random while it runs."""

from typing import List, NamedTuple, Optional

import numpy as np

from harness.outputs.contract import require_finite
from harness.outputs.core_samples import AUDIT_TIMES, CALLS

#: Bytes of logits that are kept at most.
KEPT_BYTES = 1 << 28


class Sample(NamedTuple):
    """One sequence: its prompt and all generated tokens but the last, [P + T - 1], and the logits of each step, [T, V].

    An engine that chooses tokens by itself gives no logits (None), but ``chosen``, its generated tokens [T].
    """

    call: int
    tokens: np.ndarray
    logits: Optional[np.ndarray]
    chosen: Optional[np.ndarray] = None


class Kept:
    """One sequence of a batch, written while it is generated; ``row`` is its place in the batch."""

    def __init__(self, call: int, row: int) -> None:
        self._call, self._row = call, row
        self._tokens: List[np.ndarray] = []
        self._logits: List[np.ndarray] = []
        self._chosen: Optional[np.ndarray] = None

    def step(self, tokens: np.ndarray, logits: np.ndarray) -> None:
        """Copy the tokens that a step was given, [B, P] or [B], and the logits that it returned, [B, V]."""
        self._tokens.append(np.array(tokens[self._row]).reshape(-1))
        self._logits.append(logits[self._row].copy())

    def chosen(self, prompts: np.ndarray, ids: np.ndarray) -> None:
        """Copy a sequence whose tokens the engine chose: prompts [B, P], ids [B, T]."""
        self._chosen = ids[self._row].copy()
        self._tokens = [prompts[self._row].copy(), self._chosen[:-1]]

    def sample(self) -> Sample:
        """The sequence; StageFailure (infer) if its logits hold NaN or Inf."""
        if self._chosen is not None:
            return Sample(self._call, np.concatenate(self._tokens), None, self._chosen)
        logits = np.stack(self._logits)
        require_finite({"logits": logits}, ["of call {} of the core loop".format(self._call)])
        return Sample(self._call, np.concatenate(self._tokens), logits)


class SequenceSamples:
    """A reservoir: after n batches, each of them is as likely to be kept as any other (algorithm R).

    Of a batch that is kept, one sequence is copied. ``sequence_bytes`` of logits each, ``sequence_ns`` to compute it
    again; ``seconds`` is what that may take for all of them.
    """

    def __init__(
        self,
        random: np.random.RandomState,
        batch_size: int,
        sequence_bytes: int,
        sequence_ns: int,
        seconds: float,
        audit: bool = False,
    ) -> None:
        times = AUDIT_TIMES if audit else 1
        # As many as a batch holds are computed again at once, half of it.
        at_once = max(1, batch_size // 2)
        affordable = at_once * max(1, int(times * seconds * 1e9 // max(1, sequence_ns)))
        fitting = max(1, KEPT_BYTES // max(1, sequence_bytes))
        self._most = min(times * CALLS, affordable, fitting)
        self._random = random
        self._size = batch_size
        self._kept: List[Kept] = []
        self._seen = 0

    def next(self) -> Optional[Kept]:
        """Where to copy a sequence of the next batch; None for a batch that is not kept."""
        self._seen += 1
        place = len(self._kept)
        if place >= self._most:
            place = int(self._random.randint(self._seen))
            if place >= self._most:
                return None
        kept = Kept(self._seen, int(self._random.randint(self._size)))
        self._kept[place:] = [kept, *self._kept[place + 1 :]]
        return kept

    def samples(self) -> List[Sample]:
        """The sequences that were kept, in the order of their batches."""
        found = [kept.sample() for kept in self._kept]
        return sorted(found, key=lambda sample: sample.call)
