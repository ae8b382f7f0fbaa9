"""Calls of the core loop that are kept to be checked: chosen at random while it runs."""

import math
from typing import List, NamedTuple

import numpy as np

from harness.inputs.core_pool import CorePool
from harness.inputs.pooled_input import item_rows
from harness.job import Arrays, Job
from harness.outputs.contract import OutputContract, require_finite

#: Calls and items that are kept at most; an audit keeps eight times as many.
CALLS, ITEMS = 8, 32
#: Checking them may take about this long, if that is more than a call.
CHECK_SECONDS = 5.0
AUDIT_TIMES = 8
NS_PER_S = 1000000000


class Sample(NamedTuple):
    """One item of a core call: its rows of every batched input and output, copied."""

    call: int
    inputs: Arrays
    outputs: Arrays


class CoreSamples:
    """A reservoir: after n calls, each of them is as likely to be kept as any other (algorithm L).

    A few items of a kept call are copied, chosen at random too. Raises StageFailure (contract) if a
    kept call's outputs are not what job.json declares.
    """

    def __init__(self, pool: CorePool, contract: OutputContract, job: Job, call_ns: int) -> None:
        self._pool = pool
        self._contract = contract
        self._outputs = [spec for spec in job.outputs if spec.batched]
        self._size = job.batch_size
        half = max(1, self._size // 2)
        times = AUDIT_TIMES if job.measure.audit else 1
        checks = int(times * CHECK_SECONDS * NS_PER_S // max(1, call_ns))
        items = min(times * ITEMS, half * max(1, min(times * CALLS, checks)))
        self._calls = min(times * CALLS, items)
        self._items = min(self._size, items // self._calls)
        self._kept: List[List[Sample]] = []
        self._weight = 1.0
        self.next_call = 1

    def keep(self, inputs: Arrays, outputs: Arrays) -> None:
        """Keep some items of call ``next_call``, and choose the next call to keep."""
        found = self._copied(self.next_call, inputs, outputs)
        if len(self._kept) < self._calls:
            self._kept.append(found)
        else:
            self._kept[self._pool.random.randint(self._calls)] = found
        self.next_call += 1
        if len(self._kept) == self._calls:
            self._weight *= math.exp(math.log(self._draw()) / self._calls)
            self.next_call += int(math.log(self._draw()) / math.log1p(-self._weight))

    def keep_last(self, call: int, inputs: Arrays, outputs: Arrays) -> None:
        """Keep the last call besides, which an engine that returns too early gets wrong first."""
        self._kept.append(self._copied(call, inputs, outputs))

    def samples(self) -> List[Sample]:
        """The items that were kept; StageFailure (infer) if an output has NaN or Inf."""
        found = [sample for kept in self._kept for sample in kept]
        for sample in found:
            require_finite(sample.outputs, ["of call {} of the core loop".format(sample.call)])
        return found

    def _copied(self, call: int, inputs: Arrays, outputs: Arrays) -> List[Sample]:
        outputs = self._contract.checked(outputs, self._size, self._size)
        chosen = self._pool.random.permutation(self._size)[: self._items]
        return [self._sample(call, item, inputs, outputs) for item in chosen]

    def _sample(self, call: int, item: int, inputs: Arrays, outputs: Arrays) -> Sample:
        only = np.array([item])
        return Sample(
            call,
            {
                name: inputs[name][item_rows(only, one.rows_per_item)]
                for name, one in self._pool.inputs.items()
            },
            {
                spec.name: outputs[spec.name][item_rows(only, spec.rows_per_item)]
                for spec in self._outputs
            },
        )

    def _draw(self) -> float:
        """A random number from 0 to 1, neither of them."""
        return min(max(self._pool.random.random_sample(), 1e-12), 1 - 1e-12)
