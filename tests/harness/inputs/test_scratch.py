"""Memory that a thread uses again."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from tests.harness.modules import scratch


def test_the_next_call_gets_the_same_memory_and_a_larger_one_new_zeros() -> None:
    memory = scratch.Scratch()
    first = memory.array("a", (4, 5), np.uint8)
    first[...] = 7
    assert np.shares_memory(first, memory.array("a", (2, 3), np.uint8))
    assert not np.shares_memory(first, memory.array("b", (4, 5), np.uint8))
    larger = memory.array("a", (4, 6), np.uint8)
    assert not np.shares_memory(first, larger)
    assert not larger.any()


def test_each_thread_has_its_own() -> None:
    memory, found = scratch.Scratch(), []

    def take() -> None:
        found.append(memory.array("a", (8,), np.uint8))

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    left, right = found
    assert not np.shares_memory(left, right)
    assert not np.shares_memory(left, memory.array("a", (8,), np.uint8))


def test_arrays_are_contiguous() -> None:
    found: Any = scratch.Scratch().array("a", (3, 2), np.float64)
    assert found.flags["C_CONTIGUOUS"]
