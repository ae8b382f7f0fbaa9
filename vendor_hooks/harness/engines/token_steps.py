"""Steps of generation: prefill and decode as one step of an engine, and steps as batches of the harness."""

from typing import Any, Type

import numpy as np

from harness.engine import Engine
from harness.job import Arrays


class StepEngine(Engine):
    """For an engine whose prefill and decode differ only in the number of tokens: implement ``begin`` and ``step``."""

    def begin(self, sequences: int) -> None:
        """Forget all keys and values: so many new sequences follow."""
        raise NotImplementedError

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append int64 [batch, length] tokens to the sequences; returns the last one's logits, as prefill does."""
        raise NotImplementedError

    def prefill(self, tokens: np.ndarray) -> np.ndarray:
        """Begin new sequences with these tokens."""
        self.begin(len(tokens))
        return self.step(tokens)

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to each sequence."""
        return self.step(tokens[:, None])


class TokenSteps(Engine):
    """Put over an engine's class: a batch of tokens [batch, length] is a prefill, one of [batch] a decode step.

    Each step needs the logits of the last one, so there is never more than one in flight.
    """

    in_flight = 1
    phases = Engine.phases
    measure_core = Engine.measure_core

    def submit(self, inputs: Arrays) -> Arrays:
        """Run the step; returns its outputs."""
        tokens = inputs[self.job.inputs[0].name]
        logits = self.prefill(tokens) if tokens.ndim == 2 else self.decode(tokens)
        return {self.job.outputs[0].name: logits}

    def wait(self, ticket: Any) -> Arrays:
        """The outputs that submit returned."""
        return ticket


def stepping(kind: Type[Engine]) -> Type[Engine]:
    """The class of an engine, with its steps as batches."""
    return type(kind.__name__, (TokenSteps, kind), {})


def generates(kind: Type[Engine]) -> bool:
    """Whether a class implements both steps."""
    return kind.prefill is not Engine.prefill and kind.decode is not Engine.decode
