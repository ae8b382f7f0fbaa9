"""The bench of overlap: its verdict, its datasets, and a device that a host keeps busy or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.bench.bench_loader import repeat
from tests.harness.bench_overlap import SHAPE, Dataset, items_of, job_of, rates, reached, shown
from tests.harness.job_folder import write_tensors

if TYPE_CHECKING:
    from pathlib import Path


def document(ratio: float, predicted_over_whole: float) -> Any:
    devices = {"1000": {"predicted_over_whole": predicted_over_whole}}
    return {
        "whole_over_core_by_batch_size": {"1": ratio},
        "host_limit": {"file × 1 cores": {"devices": devices}},
    }


@pytest.mark.parametrize(
    ("ratio", "predicted", "expected"),
    [
        (0.95, 1.09, True),
        (0.95, 0.91, True),
        (0.949, 1.0, False),
        (1.0, 1.11, False),
        (1, 0.89, False),
    ],
)
def test_both_aims_decide(ratio: float, predicted: float, expected: bool) -> None:
    assert reached(document(float(ratio), predicted)) is expected


def test_cores_are_named_only_where_the_host_is_the_limit() -> None:
    bound = shown(2, [(10_000.0, 420.0, 400.0)])
    assert (bound["cores_for_core"], bound["predicted_over_whole"]) == (48, 0.952)
    assert shown(2, [(100.0, 99.0, 100.0)])["cores_for_core"] == 2


def test_a_loop_has_whole_batches_and_some_of_them() -> None:
    assert items_of(1000.0, 1) == 992
    assert items_of(1.0, 1) == 128


def test_the_few_items_of_a_dataset_are_read_over_and_over(tmp_path: Path) -> None:
    tensors = tmp_path / "tensors"
    items = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    write_tensors(tensors, [{"input": item} for item in items])
    repeat(tensors, 500)
    job = job_of(tmp_path / "job", 1.0, 8, 0.05, "tensor")
    Dataset(folder=tensors, kind="tensor").shortened(job.data, 80)
    core, whole = rates(job)
    # Nothing is slower than the device of 1 ms an item, which is never faster than it says.
    assert 0 < core <= 1001
    assert 0 < whole <= 1001
