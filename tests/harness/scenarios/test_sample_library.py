"""LoadGen's samples in memory: windows where they follow each other, gathered where they do not, never others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from tests.harness.job_folder import colours, write_files
from tests.harness.modules import batch_loader, dataset, job, sample_library
from tests.harness.scenarios.conftest import scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.conftest import MakeJob

COUNT, BATCH = 12, 4


class Items(batch_loader.ItemSource):  # type: ignore[misc]
    """An item is its position, three times."""

    layout: ClassVar[dict[str, Any]] = {"input": ((3,), np.dtype(np.float32))}

    def fill(self, position: int, row: int, buffers: dict[str, Any]) -> None:
        buffers["input"][row] = position


@pytest.fixture
def library(make_job: MakeJob) -> Iterator[Any]:
    folder = make_job(batch_size=BATCH, scenario=scenario("server"))
    write_files(folder.data, colours(COUNT)[0])
    folder.write_job("infer")
    found = dataset.Dataset(folder.data)
    yield sample_library.SampleLibrary(
        job.read_job(folder.folder, "infer"), Items(), found, np.empty, 2
    )
    found.close()


def items(batch: dict[str, Any]) -> list[int]:
    assert batch["input"].shape[1:] == (3,)
    assert batch["input"].flags.c_contiguous
    return [int(row[0]) for row in batch["input"]]


ORDER = [7, 2, 9, 4, 0, 11]


def test_samples_that_follow_each_other_are_not_copied(library: Any) -> None:
    library.load(ORDER)
    batch = library.batch([2, 9, 4], 3)
    assert items(batch) == [2, 9, 4]
    assert not batch["input"].flags.owndata
    library._memory["input"][2] = -1
    assert items(batch) == [2, -1, 4]


def test_the_first_ones_follow_the_last(library: Any) -> None:
    library.load(ORDER)
    assert items(library.batch([0, 11, 7, 2], 4)) == [0, 11, 7, 2]


def test_others_are_gathered_and_a_batch_in_flight_keeps_its_own(library: Any) -> None:
    library.load(ORDER)
    first = library.batch([11, 2, 7], 3)
    second = library.batch([4, 4, 4, 0], 4)
    assert items(first) == [11, 2, 7]
    assert items(second) == [4, 4, 4, 0]


@pytest.mark.parametrize("samples", [[9], [11], [0, 2]])
def test_a_static_batch_is_full_whatever_is_behind_its_samples(
    library: Any, samples: list[int]
) -> None:
    library.load(ORDER)
    found = items(library.batch(samples, BATCH))
    assert (len(found), found[: len(samples)]) == (BATCH, samples)


def test_multistreams_padding_repeats_samples(library: Any) -> None:
    library.load([*ORDER, *ORDER[:3]])
    assert items(library.batch([11, 7, 2, 9], 4)) == [11, 7, 2, 9]


def test_memory_limits_the_samples_at_once(make_job: MakeJob) -> None:
    folder = make_job(scenario=scenario("server"), measure={"core_memory_bytes": 5 * 12})
    write_files(folder.data, colours(COUNT)[0])
    folder.write_job("infer")
    found = dataset.Dataset(folder.data)
    made = sample_library.SampleLibrary(
        job.read_job(folder.folder, "infer"), Items(), found, np.empty, 2
    )
    found.close()
    assert (made.total, made.at_once) == (COUNT, 5)
