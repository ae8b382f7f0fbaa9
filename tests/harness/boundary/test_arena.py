"""Arrays in shared memory: found without a copy, freed with their last view, locked for the other process."""

from __future__ import annotations

import gc
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.harness.modules import arena, channel, kernel, remote


class Announced:
    """What the arena hands over, as the engine's process would get it."""

    def __init__(self) -> None:
        self.files: dict[int, tuple[int, int]] = {}

    def __call__(self, segment: Any, for_reading: bool) -> None:
        number = segment.file.readable if for_reading else segment.file.descriptor
        self.files[segment.number] = (os.dup(number), segment.size)

    def bytes_at(self, place: Any, size: int) -> bytes:
        descriptor, length = self.files[place.segment]
        with mmap.mmap(descriptor, length, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
            return memory[place.offset : place.offset + size]


def test_the_other_process_finds_every_window_where_it_is() -> None:
    announced = Announced()
    found = arena.Arena(announced)
    pool = found.empty((8, 3, 5), np.float32)
    pool[:] = np.arange(pool.size).reshape(pool.shape)
    for start in range(6):
        window = pool[start : start + 2]
        assert announced.bytes_at(found.place(window), window.nbytes) == window.tobytes()


def test_arrays_that_the_other_process_cannot_see_as_they_are_have_no_place() -> None:
    found = arena.Arena(Announced())
    pool = found.empty((8, 4), np.float32)
    frozen = pool[:2]
    frozen.flags.writeable = False
    for array in (np.zeros((2, 4), np.float32), pool[:, :2], pool.T, frozen):
        assert found.place(array) is None
    assert found.place(pool) == (0, 0)


def test_a_segment_goes_with_its_last_view() -> None:
    found = arena.Arena(Announced())
    pool, other = found.empty((4, 4), np.float32), found.empty((4,), np.int64)
    view = pool[1:2]
    del pool
    gc.collect()
    assert found.forget() == []
    del view
    gc.collect()
    assert found.forget() == [0]
    again = found.empty((4, 4), np.float32)  # likely at the same address
    assert found.place(again).segment == 2
    assert found.place(other).segment == 1


def test_inputs_cannot_be_written_by_the_other_process() -> None:
    announced = Announced()
    found = arena.Arena(announced)
    pool = found.empty((4,), np.float32)
    if not found.locked:
        pytest.skip("this kernel cannot lock memory against writing")
    descriptor, size = announced.files[0]
    with pytest.raises(PermissionError):
        mmap.mmap(descriptor, size)
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)
    with pytest.raises(PermissionError):
        mmap.mmap(again, size)
    with pytest.raises(PermissionError):
        os.ftruncate(again, 0)
    pool[:] = 1.0  # ours still


def test_outputs_keep_their_size() -> None:
    announced = Announced()
    number, memory = arena.Arena(announced).output(100)
    descriptor, _ = announced.files[number]
    assert len(memory) == 100
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)  # reading would end in SIGBUS


def test_a_kernel_without_memory_files_gets_a_file_that_nobody_can_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel, "_memfd", lambda: None)
    announced = Announced()
    found = arena.Arena(announced)
    pool = found.empty((1000,), np.float32)
    pool[:] = 7.0
    assert found.locked is False
    assert announced.bytes_at(found.place(pool), pool.nbytes) == pool.tobytes()
    assert "deleted" in str(Path(f"/proc/self/fd/{announced.files[0][0]}").readlink())


def test_to_settle_is_to_wait_for_the_process_to_unmap_what_is_gone() -> None:
    class Wire:
        def __init__(self) -> None:
            self.sent: list[tuple[int, bytes]] = []

        def send(self, kind: int, body: bytes) -> None:
            self.sent.append((kind, body))

        def receive(self) -> tuple[int, bytes]:
            assert self.sent[-1][0] == channel.PING, "it waits for an answer to what was sent last"
            return channel.PONG, b""

    engine = remote.RemoteEngine.__new__(remote.RemoteEngine)
    engine._channel = wire = Wire()
    engine._arena = arena.Arena(lambda segment, for_reading: None)
    array = engine.empty((4,), np.float32)
    del array
    engine.settle()
    assert [kind for kind, _ in wire.sent] == [channel.DROP, channel.PING]
