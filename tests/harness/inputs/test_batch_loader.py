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
