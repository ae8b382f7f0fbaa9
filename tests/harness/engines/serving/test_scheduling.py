"""What every engine with continuous batching is held to: room for a batch, no cache of prompts, settings as asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.harness.modules import errors, scheduling

LENGTHS = SimpleNamespace(prompt=64, tokens=32, context=128)


def job(**changes: Any) -> Any:
    fields = {"engine": "vllm", "batch_size": 4, "generation": LENGTHS, "preprocess": {}, **changes}
    return SimpleNamespace(**fields)


@pytest.mark.parametrize(
    ("preprocess", "length"), [({}, 96), ({"longest": 100}, 101), ({"longest": 500}, 128)]
)
def test_the_longest_sequence_is_core_s_or_a_task_s_own_within_the_context(
    preprocess: dict[str, int], length: int
) -> None:
    assert scheduling.longest(job(preprocess=preprocess)) == length


def test_a_cache_with_room_for_less_than_a_batch_is_refused() -> None:
    scheduling.require_room(job(), 384)
    with pytest.raises(errors.StageFailure) as caught:
        scheduling.require_room(job(), 383)
    assert caught.value.kind == "out_of_memory"
    assert "room for 383 tokens, but a batch of 4 sequences of 96 needs 384" in caught.value.message


@pytest.mark.parametrize("cached", [None, 0])
def test_prompts_that_were_computed_pass(cached: int | None) -> None:
    scheduling.require_uncached(cached, "vLLM")


def test_steps_compute_the_sequences_so_far_from_their_beginning() -> None:
    asked: list[Any] = []

    class Recording(scheduling.SchedulingEngine):  # type: ignore[misc]
        def last_logits(self, sequences: Any) -> Any:
            asked.append(sequences.tolist())
            return np.zeros((len(sequences), 3), np.float32)

    engine = Recording(job())
    prompts = np.array([[1, 2], [3, 4]])
    engine.prefill(prompts)
    prompts[...] = 0  # the harness uses its buffer again
    engine.decode(np.array([5, 6]))
    engine.decode(np.array([7, 8]))
    assert asked == [
        [[1, 2], [3, 4]],
        [[1, 2, 5], [3, 4, 6]],
        [[1, 2, 5, 7], [3, 4, 6, 8]],
    ]
