"""Batches are assembled from items of one shape."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.harness.modules import batch_loader, errors, task


def test_an_item_of_another_shape_is_named() -> None:
    class Uneven(task.Task):  # type: ignore[misc]
        def prepare(self, payload: bytes) -> dict[str, Any]:
            return {"input": np.zeros(len(payload), np.float32)}

    dataset = SimpleNamespace(ids=["a", "b"], read=lambda position: b"x" * (1 + position))
    source = batch_loader.FileSource(dataset, Uneven(None))
    with (
        batch_loader.BatchLoader(source, 2, threads=1) as batches,
        pytest.raises(errors.StageFailure, match=r"item b as input float32 \[2\]") as caught,
    ):
        list(batches.batches(2))
    assert caught.value.kind == "contract"


class Twice(task.Task):  # type: ignore[misc]
    """Writes into its row; says what was called."""

    def __init__(self) -> None:
        super().__init__(None)
        self.called: list[str] = []

    def prepare(self, payload: bytes) -> dict[str, Any]:
        self.called.append("prepare")
        return {"input": np.frombuffer(payload, np.uint8).astype(np.float32)}

    def prepare_into(self, payload: bytes, rows: dict[str, Any]) -> None:
        self.called.append("prepare_into")
        rows["input"][...] = np.frombuffer(payload, np.uint8)


class Refined(Twice):
    """Overrides prepare alone."""

    def prepare(self, payload: bytes) -> dict[str, Any]:
        return {"input": 10 * super().prepare(payload)["input"]}


@pytest.mark.parametrize(("kind", "called", "factor"), [(Twice, 2, 1), (Refined, 0, 10)])
def test_a_subclass_that_overrides_prepare_is_asked(kind: Any, called: int, factor: int) -> None:
    asked = kind()
    dataset = SimpleNamespace(ids=["a", "b"], read=lambda position: bytes([position, 2]))
    with batch_loader.BatchLoader(batch_loader.FileSource(dataset, asked), 2, threads=1) as loader:
        (batch,) = loader.batches(2)
    assert asked.called.count("prepare_into") == called
    assert batch.inputs["input"].tolist() == [[0, 2 * factor], [factor, 2 * factor]]


def test_the_buffers_are_those_of_the_allocator() -> None:
    made = []

    def allocate(shape: tuple[int, ...], dtype: Any) -> Any:
        made.append(np.zeros(shape, dtype))
        return made[-1]

    dataset = SimpleNamespace(ids=list("abcdef"), read=lambda position: bytes([position, 2]))
    source = batch_loader.FileSource(dataset, Twice())
    with batch_loader.BatchLoader(source, 2, threads=1, allocate=allocate) as loader:
        for batch in loader.batches(6):
            assert any(np.shares_memory(batch.inputs["input"], one) for one in made)
            loader.release(batch)
    assert len(made) == 2


@pytest.mark.parametrize(("in_flight", "items", "buffers"), [(1, 12, 2), (3, 12, 6), (3, 5, 3)])
def test_buffers_made_before_the_clock_are_those_that_the_batches_use(
    in_flight: int, items: int, buffers: int
) -> None:
    made = []

    def allocate(shape: tuple[int, ...], dtype: Any) -> Any:
        made.append(np.full(shape, np.nan, dtype))
        return made[-1]

    dataset = SimpleNamespace(
        ids=[str(place) for place in range(items)], read=lambda position: bytes([position, 2])
    )
    source = batch_loader.FileSource(dataset, Twice())
    with batch_loader.BatchLoader(source, 2, 1, in_flight, allocate=allocate) as loader:
        loader.make_buffers(items)
        assert len(made) == buffers
        assert not any(np.isnan(one).any() for one in made), "a page that nobody touched"
        out: list[Any] = []
        for batch in loader.batches(items):
            out.append(batch)
            if len(out) == in_flight:
                loader.release(out.pop(0))
    assert len(made) == buffers
