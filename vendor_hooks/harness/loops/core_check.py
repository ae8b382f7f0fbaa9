"""Whether the core loop's outputs are those of its inputs: the same engine computes sampled items again."""

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from harness.engine import Engine
from harness.errors import StageFailure
from harness.inputs.core_pool import CorePool
from harness.inputs.pooled_input import item_rows
from harness.job import Arrays, Job
from harness.outputs.contract import OutputContract
from harness.outputs.core_samples import Sample
from harness.outputs.predictions import DecodedPredictions

#: Arithmetic → largest relative difference of an item's outputs in two batches of the same size. The same
#: kernel computes an item alike at every position of a batch, but for the order of sums; scales of a
#: quantised batch depend on its other items.
TOLERANCES = {"fp32": 1e-4, "tf32": 1e-3, "fp16": 5e-3, "bf16": 2e-2, "int8": 1e-1, "fp8": 1e-1}
COARSEST = 1e-1
#: The whole loop's last batch may have another size, for which an engine may choose another kernel.
OTHER_SIZE = 5.0
#: Bytes of sampled inputs that are written for the reference, and their number at most; an audit writes
#: eight times as many.
WRITTEN_BYTES, WRITTEN_ITEMS = 1 << 26, 8
TINY = 1e-30
#: A token that an engine chose may have a logit below the largest one by so many times the error of a logit: both have
#: an error, and the largest of a vocabulary is one that an error raised. Measured as relative differences are: in
#: standard deviations of a row of logits.
ERRORS_OF_A_CHOICE = 8.0

REMEDY = (
    "wait() must return the outputs of exactly the inputs of its submit(), complete in host memory; look for "
    "a missing synchronisation, a buffer that is reused too early, a cache of outputs, or items that are skipped"
)


class CoreCheck:
    """Computes sampled items again, each at a random position among real items, in full batches."""

    def __init__(self, engine: Engine, contract: OutputContract, job: Job) -> None:
        self._engine = engine
        self._contract = contract
        self._job = job
        self._outputs = {spec.name: spec for spec in job.outputs if spec.batched}
        self.tolerance = TOLERANCES.get(job.arithmetic, COARSEST)
        self.largest = 0.0
        #: Position in the dataset → outputs of real items that were computed beside the sampled ones.
        self.real: Dict[int, Arrays] = {}

    def run(self, pool: CorePool, samples: Sequence[Sample]) -> None:
        """Raise StageFailure (contract) unless each sample's outputs are computed again."""
        share = max(1, self._job.batch_size // 2)
        wrong = 0
        for start in range(0, len(samples), share):
            some = samples[start : start + share]
            for sample, outputs in zip(some, self._again(pool, some)):
                difference = relative_difference(sample.outputs, outputs)
                self.largest = max(self.largest, difference)
                wrong += not difference <= self.tolerance
        if not self.real:
            self._again(pool, [])
        if wrong:
            raise StageFailure("contract", self._differs(wrong, len(samples)), REMEDY)

    def agreement(self, predictions: DecodedPredictions) -> Optional[float]:
        """The share of the real items whose outputs the whole loop gave too; None if it reached none.

        Raises StageFailure (contract) if it gave others.
        """
        raw = predictions.raw_written()
        reached = min(
            [len(raw[n]) // s.rows_per_item for n, s in self._outputs.items() if n in raw] or [0]
        )
        equal = [
            relative_difference(outputs, self._rows(raw, position)) <= OTHER_SIZE * self.tolerance
            for position, outputs in sorted(self.real.items())
            if position < reached
        ]
        if not equal:
            return None
        if not all(equal):
            message = "{} of {} items have other outputs beside the core loop than in the whole loop".format(
                len(equal) - sum(equal), len(equal)
            )
            raise StageFailure("contract", message, REMEDY)
        return 1.0

    def _again(self, pool: CorePool, samples: Sequence[Sample]) -> List[Arrays]:
        """Compute samples in one full batch, filled with real items, in random order."""
        size = self._job.batch_size
        order = pool.random.permutation(size)
        places, others = order[: len(samples)], order[len(samples) :]
        chosen = pool.random.permutation(size)[: len(others)]
        inputs = dict(pool.constants)
        for name, one in pool.inputs.items():
            inputs[name] = array = self._engine.empty(
                (size * one.rows_per_item,) + one.real.shape[1:], one.real.dtype
            )
            array[item_rows(others, one.rows_per_item)] = one.real[
                item_rows(chosen, one.rows_per_item)
            ]
            for place, sample in zip(places, samples):
                array[place * one.rows_per_item : (place + 1) * one.rows_per_item] = sample.inputs[
                    name
                ]
        outputs = self._contract.checked(self._engine.wait(self._engine.submit(inputs)), size, size)
        for place, item in zip(others, chosen):
            self.real[pool.positions[item]] = self._copied(outputs, place)
        return [self._copied(outputs, place) for place in places]

    def _rows(self, outputs: Arrays, item: int) -> Arrays:
        return {
            name: outputs[name][item * spec.rows_per_item : (item + 1) * spec.rows_per_item]
            for name, spec in self._outputs.items()
            if name in outputs
        }

    def _copied(self, outputs: Arrays, item: int) -> Arrays:
        return {name: rows.copy() for name, rows in self._rows(outputs, item).items()}

    def _differs(self, wrong: int, count: int) -> str:
        return (
            "{} of {} items sampled from the core loop had outputs that engine {} does not compute for their "
            "inputs: relative difference {:.2g}, at most {:.2g} for {}".format(
                wrong, count, self._job.engine, self.largest, self.tolerance, self._job.arithmetic
            )
        )

    def document(self, samples: Sequence[Sample]) -> Dict[str, Any]:
        """What the report says of the check."""
        return {
            "calls": sorted({sample.call for sample in samples}),
            "items": len(samples),
            "largest_difference": self.largest,
            "tolerance": self.tolerance,
        }


def written(samples: Sequence[Sample], constants: Arrays, times: int = 1) -> Arrays:
    """``input:<name>`` and ``output:<name>`` of the samples that the reference computes too, for an .npz.

    ``times`` as many of them as usual.
    """
    arrays = {"constant:" + name: array for name, array in constants.items()}
    if not samples:
        return arrays
    one = sum(array.nbytes for array in samples[0].inputs.values())
    fitting = times * WRITTEN_BYTES // max(1, one)
    count = max(1, min(times * WRITTEN_ITEMS, len(samples), fitting))
    # From both ends and between: the last call is among them.
    some = [samples[number] for number in spaced(len(samples), count)]
    for kind in ("input", "output"):
        for name in getattr(samples[0], kind + "s"):
            rows = [getattr(sample, kind + "s")[name] for sample in some]
            arrays["{}:{}".format(kind, name)] = np.concatenate(rows)
    return arrays


def relative_difference(outputs: Arrays, expected: Arrays) -> float:
    """The largest norm of a difference, relative to the larger of both norms, over all outputs: 0 to 2."""
    found = [0.0]
    for name, array in expected.items():
        right = np.asarray(array, np.float64).ravel()
        left = np.asarray(outputs[name], np.float64).ravel()
        norm = max(float(np.linalg.norm(left)), float(np.linalg.norm(right)), TINY)
        found.append(float(np.linalg.norm(left - right)) / norm)
    return max(found)


def shortfalls(logits: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """How far chosen ids [n] are from being the most probable ones of logits [n, V]: float64 [n], 0 where they are.

    Comparable with a relative difference of logits: up to it, rounding explains the choice.
    """
    rows = np.asarray(logits, np.float64)
    chosen = np.take_along_axis(rows, np.asarray(ids, np.int64)[:, None], axis=1)[:, 0]
    found: np.ndarray = (rows.max(axis=1) - chosen) / (ERRORS_OF_A_CHOICE * rows.std(axis=1) + TINY)
    return found


def spaced(total: int, count: int) -> List[int]:
    """``count`` numbers below ``total``, both ends among them."""
    return sorted(set(np.linspace(0, total - 1, count).astype(int).tolist()))
