"""Steps of generation as batches: the harness then calls every engine alike."""

from typing import Any, Type

from harness.engine import Engine
from harness.job import Arrays


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
