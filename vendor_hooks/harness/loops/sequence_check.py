"""Whether the logits of a language model's core loop are those of its tokens: sampled sequences are computed again."""

from typing import List, Sequence

import numpy as np

from harness.errors import StageFailure
from harness.inputs.prompts import Prompts
from harness.job import Arrays
from harness.loops.core_check import (
    REMEDY,
    WRITTEN_BYTES,
    WRITTEN_ITEMS,
    CoreCheck,
    relative_difference,
    shortfalls,
    spaced,
)
from harness.outputs.contract import require_finite
from harness.outputs.sequence_samples import Sample


class SequenceCheck(CoreCheck):
    """Computes sampled sequences again, each at a random place of a batch, among windows of the dataset.

    Their tokens are given step by step, as the whole loop gives those of the dataset.
    """

    def check(self, prompts: Prompts, samples: Sequence[Sample]) -> List[Sample]:
        """Raise StageFailure (contract) unless each sequence has the same logits again; return them with logits."""
        share = max(1, prompts.batch_size // 2)
        wrong = 0
        checked = []
        for start in range(0, len(samples), share):
            some = samples[start : start + share]
            for sample, logits in zip(some, self._once_more(prompts, some)):
                difference = self._difference(sample, logits)
                self.largest = max(self.largest, difference)
                wrong += not difference <= self.tolerance
                checked.append(sample if sample.chosen is None else sample._replace(logits=logits))
        if not self.real:
            self._once_more(prompts, [])
        if wrong:
            raise StageFailure("contract", self._differs(wrong, len(samples)), REMEDY)
        return checked

    def _difference(self, sample: Sample, logits: np.ndarray) -> float:
        """The largest difference of a step; of tokens that the engine chose, how far they are from the best ones."""
        if sample.logits is None:
            assert sample.chosen is not None, "a sample without logits has chosen tokens"
            which = ["of call {} of the core loop, computed again".format(sample.call)]
            require_finite({"logits": logits}, which)
            return float(shortfalls(logits, sample.chosen).max())
        return max(
            relative_difference({"logits": left}, {"logits": right})
            for left, right in zip(sample.logits, logits)
        )

    def _once_more(self, prompts: Prompts, samples: Sequence[Sample]) -> List[np.ndarray]:
        """The logits of each sample, [T, V]; those of the windows beside them are kept too."""
        lengths = self._job.generation
        assert lengths is not None, "only a case of generation has sequences"
        size = prompts.batch_size
        order = prompts.random.permutation(size)
        places, others = order[: len(samples)], order[len(samples) :]
        # Those whose logits the whole loop keeps.
        known = min(len(prompts.real), self._job.golden_count)
        chosen = prompts.random.randint(known, size=len(others))
        tokens = np.empty((size, lengths.prompt + lengths.tokens - 1), np.int64)
        tokens[others] = prompts.real[chosen, :-1]
        for place, sample in zip(places, samples):
            tokens[place] = sample.tokens
        steps = self._forced(tokens, lengths.prompt)
        for place, item in zip(others, chosen):
            self.real[int(item)] = {self._job.outputs[0].name: steps[None, :, place].copy()}
        return [steps[:, place] for place in places]

    def _forced(self, tokens: np.ndarray, prompt: int) -> np.ndarray:
        """The logits of every step, [T, B, V], with these tokens instead of the most probable ones."""
        size = len(tokens)
        name, output = self._job.inputs[0].name, self._job.outputs[0].name
        first, later = (self._engine.empty(shape, np.int64) for shape in ((size, prompt), (size,)))
        first[...] = tokens[:, :prompt]
        steps = []
        for place in range(prompt - 1, tokens.shape[1]):
            later[...] = tokens[:, place]
            inputs: Arrays = {name: first if place < prompt else later}
            made = self._engine.wait(self._engine.submit(inputs))
            steps.append(self._contract.checked(made, size, size)[output].copy())
        return np.stack(steps)


def written(samples: Sequence[Sample], source: str, output: str, times: int = 1) -> Arrays:
    """``input:<source>`` [N, P + T - 1] and ``output:<output>`` [N, T, V], for the reference to compute in fp32."""
    found = [sample.logits for sample in samples if sample.logits is not None]
    fitting = times * WRITTEN_BYTES // found[0].nbytes
    count = max(1, min(times * WRITTEN_ITEMS, len(samples), fitting))
    some = [samples[number] for number in spaced(len(samples), count)]
    return {
        "input:" + source: np.stack([sample.tokens for sample in some]),
        "output:" + output: np.stack(
            [sample.logits for sample in some if sample.logits is not None]
        ),
    }
