"""One input of the engine in the core loop's pool, and how its items change from call to call."""

from typing import Sequence

import numpy as np

#: The smallest number of values of an item that change; below it, the cost no longer falls.
NARROWEST = 16
#: Shifts, as a share of the input's standard deviation over real items.
SMALLEST_SHIFT, LARGEST_SHIFT = 0.02, 0.25


class PooledInput:
    """A batched input: ``pool`` is handed over and changes, ``real`` has real items and never does.

    Both are [items * rows_per_item, …]; ``width`` is how many of an item's ``size`` values change per call.
    """

    def __init__(self, pool: np.ndarray, real: np.ndarray, rows_per_item: int) -> None:
        self.rows_per_item = rows_per_item
        self.pool = pool
        self.items = pool.reshape(len(pool) // rows_per_item, -1)
        self.real = real
        self.real_items = real.reshape(len(real) // rows_per_item, -1)
        self.size = self.width = self.items.shape[1]
        self.is_float = pool.dtype.kind == "f"
        self.narrow(0.0)
        self._spread = _spread(self.real_items) if self.is_float else 0.0

    def rows(self, start: int, count: int) -> np.ndarray:
        """A view of ``count`` items of the pool from ``start``."""
        return self.pool[start * self.rows_per_item : (start + count) * self.rows_per_item]

    def narrow(self, share: float) -> None:
        """Change this share of an item per call; whole items of integers, whose parts mean nothing."""
        if self.is_float:
            self.width = min(self.size, max(NARROWEST, int(share * self.size)))

    def change(self, start: int, count: int, draw: Sequence[float]) -> None:
        """Overwrite a part of ``count`` items from ``start``; ``draw``: four numbers from 0 to 1."""
        item, column, origin, shift = draw
        first = int(item * (len(self.real_items) - count + 1))
        room = self.size - self.width + 1
        left, taken = int(column * room), int(origin * room)
        part = self.items[start : start + count, left : left + self.width]
        real = self.real_items[first : first + count, taken : taken + self.width]
        if self.is_float:
            np.add(real, _shift(shift) * self._spread, out=part, casting="same_kind")
        else:
            part[...] = real


def item_rows(items: np.ndarray, rows_per_item: int) -> np.ndarray:
    """The rows of these items: int [items * rows_per_item]."""
    return (np.asarray(items)[:, None] * rows_per_item + np.arange(rows_per_item)).ravel()


def _spread(items: np.ndarray) -> float:
    """The standard deviation of real items; where they are constant, a hundredth of their magnitude."""
    found = float(np.std(items, dtype=np.float64))
    return found or max(1.0, float(np.abs(items[:1, :1]).max())) / 100


def _shift(share: float) -> float:
    """A number from 0 to 1 as a shift, of either sign and never near zero."""
    signed = 2 * share - 1
    span = LARGEST_SHIFT - SMALLEST_SHIFT
    return signed * span + (SMALLEST_SHIFT if signed >= 0 else -SMALLEST_SHIFT)
