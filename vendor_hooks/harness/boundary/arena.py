"""Shared memory in the harness: arrays that the engine's process can read, and buffers that it fills."""

import bisect
import collections
import ctypes
import mmap
import weakref
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from harness.boundary import kernel

#: Arrays start at a cache line, as the largest vector loads want it.
ALIGNMENT = 64


class Place(NamedTuple):
    """Where an array starts: a segment's number, and bytes from its start."""

    segment: int
    offset: int


class Segment:
    """One mapped memory file, which lives as long as an array in it."""

    def __init__(self, number: int, size: int, *, for_reading: bool) -> None:
        self.number = number
        self.size = max(mmap.PAGESIZE, size)
        self.file = kernel.memory_file(self.size)
        self.memory = mmap.mmap(self.file.descriptor, self.size)
        self.whole = np.frombuffer(self.memory, np.uint8)
        self.address = int(self.whole.__array_interface__["data"][0])
        seals = kernel.F_SEAL_SHRINK | kernel.F_SEAL_GROW
        #: Whether the other process cannot write here, whatever it does.
        self.locked = False
        if self.file.sealable:
            self.locked = for_reading and kernel.seal(
                self.file.descriptor, seals | kernel.F_SEAL_FUTURE_WRITE
            )
            if not self.locked:
                kernel.seal(self.file.descriptor, seals)


class Arena:
    """Segments that the engine's process has too. ``announce(segment, for_reading)`` hands one over."""

    def __init__(self, announce: Callable[[Segment, bool], None]) -> None:
        self._announce = announce
        self._next = 0
        self._starts: List[int] = []
        self._spans: Dict[int, Tuple[int, int]] = {}
        #: Finalisers of arrays run in any thread: they only append.
        self._dropped: Deque[int] = collections.deque()
        self._gone: List[int] = []
        #: Whether every segment for reading is locked against writing.
        self.locked = True

    def empty(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """An uninitialised array that the engine's process can read without a copy."""
        return self._array(shape, dtype, True)

    def output(self, size: int) -> Tuple[int, np.ndarray]:
        """(number of the segment, its bytes): memory that the engine's process writes."""
        segment = self._segment(size, False)
        return segment.number, segment.whole[:size]

    def place(self, array: np.ndarray) -> Optional[Place]:
        """Where the engine's process finds this array; None for one that it cannot see as it is."""
        try:
            # A tenth of the time that numpy's own ways to an address take.
            address = ctypes.addressof(ctypes.c_char.from_buffer(array.data))
        except (TypeError, ValueError):
            return None  # not contiguous, read-only, or empty: none of ours
        at = bisect.bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        start = self._starts[at]
        number, size = self._spans[start]
        if address + array.nbytes > start + size:
            return None
        return Place(number, address - start)

    def forget(self) -> List[int]:
        """Numbers of segments that nothing uses any more, since the last call."""
        self._sweep()
        gone, self._gone = self._gone, []
        return gone

    def _array(self, shape: Sequence[int], dtype: Any, for_reading: bool) -> np.ndarray:
        kind = np.dtype(dtype)
        size = int(np.prod(tuple(shape), dtype=np.int64)) * kind.itemsize
        segment = self._segment(size, for_reading)
        # First those that are gone: the new one may have the address of one of them.
        self._sweep()
        start = segment.address
        bisect.insort(self._starts, start)
        self._spans[start] = (segment.number, segment.size)
        # Every view keeps the mapping alive, and the mapping this finaliser.
        weakref.finalize(segment.memory, self._dropped.append, start).atexit = False
        return segment.whole[:size].view(kind).reshape(tuple(shape))

    def _sweep(self) -> None:
        while self._dropped:
            start = self._dropped.popleft()
            self._starts.remove(start)
            self._gone.append(self._spans.pop(start)[0])

    def _segment(self, size: int, for_reading: bool) -> Segment:
        segment = Segment(self._next, size, for_reading=for_reading)
        self._next += 1
        if for_reading:
            self.locked = self.locked and segment.locked
        try:
            self._announce(segment, for_reading)
        finally:
            segment.file.close()
        return segment
