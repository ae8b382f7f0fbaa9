"""The core loop's inputs: windows of one pool of prepared items, changed before every call.

No call gets what an earlier one had. A window starts at a random item, so addresses do not tell what it
holds. Before it is handed over, a part of every item in it is overwritten: floats with values of another
real item, shifted by a random amount; integers with another real item. Nothing in flight is changed.
"""

import collections
import os
from typing import Any, Deque, Dict, List, Sequence

import numpy as np

from harness import clock
from harness.inputs.pooled_input import NARROWEST, PooledInput
from harness.job import Arrays

#: Largest share of a call's time that changing its inputs may take.
CHANGE_SHARE = 0.004
#: Random numbers drawn at once.
DRAWN = 1024


class Feed:
    """Where a loop's inputs come from; batches are released in the order in which they were taken."""

    #: So many batches can be out at once.
    most_out = 1 << 30

    def first(self) -> Any:
        """Return the inputs of the first call of all, which is real items."""
        raise NotImplementedError

    def take(self) -> Any:
        """Return the inputs of the next call; they stay unchanged until they are released."""
        raise NotImplementedError

    def release(self) -> None:
        """Say that the oldest batch that was taken is complete."""


class CorePool(Feed):
    """Windows of ``batch_size`` items; ``fit`` sets how much of each item changes.

    ``real`` has the dataset's items at ``positions``, unchanged. ``passes`` windows are one pass.
    """

    def __init__(
        self,
        inputs: Dict[str, PooledInput],
        constants: Arrays,
        positions: Sequence[int],
        batch_size: int,
        one_pass: int,
    ) -> None:
        self.inputs = inputs
        self.constants = constants
        self.positions = positions
        self.batch_size = batch_size
        self.one_pass = one_pass
        self.change_ns = 0
        # Drawn here, in the process that measures: job.json is readable to the hook.
        self.seed = int.from_bytes(os.urandom(4), "little")
        self.random = np.random.RandomState(self.seed)
        pooled = next(iter(inputs.values()), None)
        self._items = len(pooled.items) if pooled else batch_size
        if pooled:
            # Each batch that is out takes the starts of two windows from the next one.
            self.most_out = (self._items // batch_size - 1) // 2
        self._flying: Deque[int] = collections.deque()
        self._draws: List[List[float]] = []

    @property
    def nbytes(self) -> int:
        """Bytes of the pool."""
        return sum(one.pool.nbytes for one in self.inputs.values())

    def first(self) -> Arrays:
        """The first batch of real items, unchanged."""
        return self._with_constants(
            {
                name: one.real[: self.batch_size * one.rows_per_item]
                for name, one in self.inputs.items()
            }
        )

    def batches(self) -> List[Arrays]:
        """The batches of one pass, for a vendor's own tool."""
        return [self._window(number * self.batch_size) for number in range(self.one_pass)]

    def take(self) -> Arrays:
        """Change a window that is not in flight, and return it."""
        if not self._draws:
            self._draws = self.random.random_sample((DRAWN, 5)).tolist()
        draw = self._draws.pop()
        start = self._free_start(draw[0])
        for one in self.inputs.values():
            one.change(start, self.batch_size, draw[1:])
        self._flying.append(start)
        return self._window(start)

    def release(self) -> None:
        """Let the oldest window be changed again."""
        self._flying.popleft()

    def fit(self, call_ns: int) -> None:
        """Change as much of each item as CHANGE_SHARE of a call's time allows."""
        share, narrowest = (
            1.0,
            NARROWEST / max([NARROWEST] + [one.size for one in self.inputs.values()]),
        )
        while True:
            for one in self.inputs.values():
                one.narrow(share)
            self.change_ns = self._time_a_change()
            if self.change_ns <= CHANGE_SHARE * call_ns or share <= narrowest:
                return
            share /= 2

    def document(self) -> Dict[str, Any]:
        """What the report says of these inputs."""
        return {
            "seed": self.seed,
            "items": self._items,
            "change_ns": self.change_ns,
            "changed_share": {
                name: round(one.width / float(one.size), 6) for name, one in self.inputs.items()
            },
        }

    def _time_a_change(self) -> int:
        taken = []
        for _ in range(9):
            started = clock.now_ns()
            self.take()
            self.release()
            taken.append(clock.now_ns() - started)
        return sorted(taken)[4]

    def _window(self, start: int) -> Arrays:
        return self._with_constants(
            {name: one.rows(start, self.batch_size) for name, one in self.inputs.items()}
        )

    def _with_constants(self, arrays: Arrays) -> Arrays:
        arrays.update(self.constants)
        return arrays

    def _free_start(self, share: float) -> int:
        """The start of a window that overlaps none in flight; ``share``, from 0 to 1, chooses it."""
        size = self.batch_size
        if not self._flying:
            return int(share * (self._items - size + 1))
        gaps = []
        begin = total = 0
        for start in sorted(self._flying) + [self._items]:
            room = start - begin - size + 1
            if room > 0:
                gaps.append((begin, room))
                total += room
            begin = start + size
        chosen = int(share * total)
        for begin, room in gaps:
            if chosen < room:
                return begin + chosen
            chosen -= room
        raise AssertionError("the pool holds twice as many windows as are in flight")
