"""Memory that a thread uses again for every item.

A fresh array of some hundred kilobytes comes from mmap and goes back by munmap: the kernel zeroes every
page again, and interrupts the other threads' cores for each range that it takes away.
"""

import threading
from typing import Any, Sequence

import numpy as np


class Scratch(threading.local):
    """Arrays by name, each thread's own; they are reused by the next call with the same name."""

    def __init__(self) -> None:
        self._held = {}  # type: Any

    def array(self, name: str, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """C-contiguous array of ``shape``; its contents are zeros, or left over from an earlier call.

        A name always has the same dtype, so that what is left over are numbers.
        """
        size = 1
        for extent in shape:
            size *= extent
        held = self._held.get(name)
        if held is None or held.size < size:
            # Zeros rather than empty: products with zero weights must not meet a NaN.
            held = self._held[name] = np.zeros(size, dtype)
        found: np.ndarray = held[:size].reshape(shape)
        return found
