"""Figures of a language model, from the times of its core loop: prefill and decode. Pure (docs/figures.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from driver.models.base import ELEMENT_BYTES
from driver.models.result import Generation
from driver.results.figures import GIB, NS_PER_S, OPERATIONS_PER_MAC
from driver.results.statistics import latency, median

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from driver.models.case import GenerationSpec, ModelSpec
    from driver.models.job import GenerationJob


class Work(NamedTuple):
    """What a batch of sequences costs at least: operations of its prefill, bytes read by a decode step."""

    prefill_operations: float
    decode_bytes: float


def work(spec: GenerationJob, model: ModelSpec, batch_size: int, element_bytes: int) -> Work:
    """Return the least work of a batch. ``model.macs`` are those of one token without a past.

    A causal model needs the logits of the last token alone, and half of the square of attention. A decode step
    reads each matrix once, and the keys and values of every sequence, whose length is the mean one.
    """
    of_a_key = attention_macs(spec)
    head = spec.hidden * model.outputs[0].shape[-1]
    layers = model.macs - of_a_key - head
    keys = spec.prompt * (spec.prompt + 1) / 2
    prefill = spec.prompt * layers + head + keys * of_a_key
    past = spec.prompt + (spec.tokens - 2) / 2
    read = model.macs - of_a_key + batch_size * past * token_elements(spec)
    return Work(OPERATIONS_PER_MAC * batch_size * prefill, element_bytes * read)


def attention_macs(spec: GenerationSpec) -> int:
    """Return the multiply-accumulates of one query with one key, and its value, in all layers and heads."""
    return 2 * spec.layers * spec.heads * spec.head_size


def token_elements(spec: GenerationSpec) -> int:
    """Return the numbers that a cache keeps of one token of a sequence."""
    return 2 * spec.layers * spec.kv_heads * spec.head_size


def figures(
    spec: GenerationJob,
    model: ModelSpec,
    *,
    batch_size: int,
    arithmetic: str,
    bandwidth: float | None,
    samples_ns: Sequence[NDArray[np.int64]],
) -> Generation:
    """Return the figures of all processes; ``samples_ns`` has the times of each one's core loop, in its order.

    A sequence's first call is its prefill, the others are decode steps. ``bandwidth`` in bytes/s, None where it is
    unknown. Rates are medians over processes, percentiles are of all their calls.
    """
    import numpy as np

    element_bytes = ELEMENT_BYTES.get(arithmetic, 4)
    cached = batch_size * (spec.prompt + spec.tokens - 1) * token_elements(spec)
    found = Generation(
        prompt=spec.prompt,
        tokens=spec.tokens,
        ttft_bound_ms=spec.ttft_ms,
        tpot_bound_ms=spec.tpot_ms,
        kv_cache_gib=cached * element_bytes / GIB,
    )
    processes = [each.reshape(-1, spec.tokens) for each in samples_ns if each.size]
    if not processes:
        return found
    steps = np.concatenate(processes)
    prefill_s = [_mean_s(each[:, 0]) for each in processes]
    decode_s = [_mean_s(each[:, 1:]) for each in processes]
    least = work(spec, model, batch_size, element_bytes)
    return found.model_copy(
        update={
            "ttft_ms": latency(steps[:, 0]),
            "itl_ms": latency(steps[:, 1:].reshape(-1)),
            "tpot_ms": median(steps[:, 1:].mean(axis=1)) / 1e6,
            "p_prefill": median([batch_size * spec.prompt / each for each in prefill_s]),
            "p_decode": median([batch_size / each for each in decode_s]),
            "goodput": _goodput(spec, batch_size, processes),
            "mbu": None
            if not bandwidth
            else 100.0 * least.decode_bytes / median(decode_s) / bandwidth,
        }
    )


def _goodput(
    spec: GenerationJob, batch_size: int, processes: Sequence[NDArray[np.int64]]
) -> float | None:
    """Return the sequences within both bounds per second of the loop; None for a case without bounds.

    Each process's steps are [batches, TOKENS] in ns. All sequences of a batch get their tokens at the same time.
    """
    if spec.ttft_ms is None or spec.tpot_ms is None:
        return None
    rates = []
    for steps in processes:
        first_ms, later_ms = steps[:, 0] / 1e6, steps[:, 1:].mean(axis=1) / 1e6
        good = (first_ms <= spec.ttft_ms) & (later_ms <= spec.tpot_ms)
        rates.append(batch_size * float(good.sum()) / (float(steps.sum()) / NS_PER_S))
    return median(rates)


def prefill_mfu(
    found: Generation, spec: GenerationJob, model: ModelSpec, peak: float | None
) -> float | None:
    """Return the model FLOPs utilisation of prefill in percent; ``peak`` in operations/s, None where unknown."""
    if found.p_prefill is None or not peak:
        return None
    operations = work(spec, model, 1, 1).prefill_operations / spec.prompt
    return 100.0 * operations * found.p_prefill / peak


def _mean_s(samples_ns: NDArray[np.int64]) -> float:
    return float(samples_ns.mean()) / NS_PER_S
