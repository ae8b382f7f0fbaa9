"""A language model that schedules sequences by itself, in numpy: at most a batch of them in a step, the others wait.

``engine_options``: pause, seconds of a step; wrong, a token of the timed loops that the logits do not choose; twice, a
token more than was asked for; nan, logits that are no numbers; together, tokens that come only when a sequence ends.
"""

import collections
import time

import numpy as np
from harness.engines.serving.scheduling import SchedulingEngine

DECAY = 0.9


class Serving(SchedulingEngine):
    """The model of chain.py: a state per sequence takes the place of keys and values."""

    def load(self):
        random = np.random.RandomState(7)
        shape = (self.job.outputs[0].shape[0], 16)
        self._rows = random.standard_normal(shape).astype(np.float32)
        self._waiting, self._running = collections.deque(), {}
        self._joined = 0
        return {"precision": "fp32", "arithmetic": "fp32"}

    def add(self, numbers, prompts, tokens):
        self._joined += len(numbers) if self._running else 0
        for row, number in enumerate(numbers):
            self._waiting.append((number, self._state(prompts[row]), tokens))

    def advance(self):
        time.sleep(self.job.engine_options.get("pause", 0.0))
        while self._waiting and len(self._running) < self.job.batch_size:
            number, state, tokens = self._waiting.popleft()
            self._running[number] = [state, tokens, []]
        pairs = []
        for number, one in list(self._running.items()):
            token = int((self._rows @ one[0]).argmax())
            if self.job.engine_options.get("wrong"):
                token = (token + 1) % len(self._rows)
            one[0] = DECAY * one[0] + self._rows[token]
            one[2].append(token)
            if len(one[2]) == one[1]:
                del self._running[number]
                pairs += [(number, token)] * bool(self.job.engine_options.get("twice"))
                if self.job.engine_options.get("together"):
                    pairs += [(number, each) for each in one[2][:-1]]
            elif self.job.engine_options.get("together"):
                continue
            pairs.append((number, token))
        return pairs

    def last_logits(self, sequences):
        found = np.stack([self._state(one) for one in sequences]) @ self._rows.T
        if self.job.engine_options.get("nan"):
            found[0, 1] = np.nan
        return found

    def versions(self):
        return {"joined": str(self._joined)}

    def _state(self, tokens):
        state = np.zeros(16, np.float32)
        for token in tokens:
            state = DECAY * state + self._rows[token]
        return state


ENGINE = Serving
