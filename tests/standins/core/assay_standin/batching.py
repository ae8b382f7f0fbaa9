"""A scheduler with continuous batching: what vLLM's and TensorRT-LLM's stand-ins have in common.

A step advances at most ``most`` sequences and computes at most ``budget`` tokens: first one token of each that decodes,
then prompts, the last of them in chunks. A sequence is admitted when the cache has room for all of it.
"""

import collections

from assay_standin import faults


class Sequence:
    """A prompt, how many tokens it is to get, and how far it is."""

    def __init__(self, name, prompt, count, past):
        self.name, self.prompt, self.count = name, list(prompt), count
        self.past, self.computed, self.made = past, 0, []
        self.logits = None

    @property
    def finished(self):
        """Whether it has all of its tokens."""
        return len(self.made) >= self.count


class Batching:
    """``cache_tokens`` is the room of the cache, in tokens of all sequences that run."""

    def __init__(self, model, most, budget, cache_tokens):
        self._model, self._most, self._budget = model, most, budget
        self._room = cache_tokens
        self._waiting, self._running = collections.deque(), []
        #: Of each step: how many sequences it advanced.
        self.advanced = []

    def add(self, name, prompt, count):
        """Let a sequence wait for its place in a step."""
        self._waiting.append(Sequence(name, prompt, count, self._model.no_past()))

    @property
    def unfinished(self):
        """Sequences that wait or run."""
        return len(self._waiting) + len(self._running)

    def step(self):
        """Advance; return the sequences that got a token."""
        faults.strike("infer")
        self._admit()
        chunks = self._chunks()
        advanced = []
        for (length, _), some in _alike(chunks).items():
            logits, pasts = self._model.forward(
                [(one.prompt + one.made)[one.computed : one.computed + length] for one in some],
                [one.past for one in some],
            )
            for one, row, past in zip(some, logits.numpy(), pasts):
                one.past, one.computed = past, one.computed + length
                if one.computed == len(one.prompt) + len(one.made):
                    one.logits = faults.spoil([row])[0]
                    one.made.append(int(one.logits.argmax()))
                    advanced.append(one)
        for one in advanced:
            if one.finished:
                self._running.remove(one)
                self._room += len(one.prompt) + one.count
        self.advanced.append(len(chunks))
        return advanced

    def _admit(self):
        while self._waiting and len(self._running) < self._most:
            needed = len(self._waiting[0].prompt) + self._waiting[0].count
            if needed > self._room:
                return
            self._room -= needed
            self._running.append(self._waiting.popleft())

    def _chunks(self):
        """(sequence, tokens of it in this step) of each that the budget reaches: decode steps before prompts."""
        left, found = self._budget, []
        for one in sorted(self._running, key=lambda one: not one.made):
            length = min(len(one.prompt) + len(one.made) - one.computed, left)
            if length:
                found.append((one, length))
                left -= length
        return found


def _alike(chunks):
    """Sequences by (tokens of this step, tokens before it): those can be computed together."""
    found = collections.OrderedDict()
    for one, length in chunks:
        found.setdefault((length, one.computed), []).append(one)
    return found
