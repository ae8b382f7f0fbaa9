"""The dataset folder: read in place, and refused with its reason when it is not what its index says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.harness.job_folder import write_files, write_tensors
from tests.harness.modules import dataset, errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def edited(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    path = folder / "index.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(errors.StageFailure) as caught:
        dataset.Dataset(folder)
    assert caught.value.kind == "data"
    assert "make data" in caught.value.remedy
    return str(caught.value.message)


def test_items_come_back_as_they_were_written(tmp_path: Path) -> None:
    payloads = [b"", b"one", bytes(range(256))]
    write_files(tmp_path, payloads)
    found = dataset.Dataset(tmp_path)
    assert [found.read(n) for n in range(len(found))] == payloads
    assert found.ids == ["000001", "000002", "000003"]
    found.close()


def test_a_limit_keeps_the_first_items(tmp_path: Path) -> None:
    write_files(tmp_path, [b"a", b"b", b"c"])
    assert len(dataset.Dataset(tmp_path, limit=2)) == 2
    assert len(dataset.Dataset(tmp_path, limit=9)) == 3


def test_tensors_are_scattered_into_rows_with_no_copy_besides(tmp_path: Path) -> None:
    items: list[dict[str, NDArray[Any]]] = [
        {
            "picture": np.full((2, 3), n, np.float32),
            "step": np.array(n, np.int64),
            "half": np.full(2, n, np.float16),
            "flag": np.array([n % 2 == 0]),
        }
        for n in range(4)
    ]
    write_tensors(tmp_path, items)
    found = dataset.Dataset(tmp_path)
    buffers = {name: np.zeros((4, *array.shape), array.dtype) for name, array in items[0].items()}
    for n in range(4):
        rows = [buffers[t.name][n : n + 1].view(np.uint8) for t in found.tensors]
        found.read_into(n, rows)
    for name, buffer in buffers.items():
        np.testing.assert_array_equal(buffer, np.stack([item[name] for item in items]))


def test_a_folder_without_index_is_no_dataset(tmp_path: Path) -> None:
    assert "FileNotFoundError" in refused(tmp_path)


def test_half_an_index_is_no_dataset(tmp_path: Path) -> None:
    write_files(tmp_path, [b"a"])
    text = (tmp_path / "index.json").read_text()
    (tmp_path / "index.json").write_text(text[:40])
    assert "index.json" in refused(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "assay/dataset/2"}, "assay/dataset/2"),
        ({"kind": "movie"}, "movie"),
        ({"count": 9}, "1 items, but count 9"),
        ({"items": [], "count": 0}, "no items"),
        ({"bytes": 99}, "99"),
        ({"file": "gone.bin"}, "gone.bin"),
    ],
)
def test_an_index_that_does_not_fit_is_refused_with_its_value(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    write_files(tmp_path, [b"a"])
    assert said in refused(edited(tmp_path, lambda document: document.update(change)))


def test_items_beyond_the_end_of_the_file_are_refused(tmp_path: Path) -> None:
    write_files(tmp_path, [b"a", b"b"])
    edited(tmp_path, lambda document: document["items"][1].update(offset=7))
    assert "items.bin has 2 bytes" in refused(tmp_path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, [b"abc", b"def"])
    (tmp_path / "items.bin").write_bytes(b"abcd")
    assert "has 4 bytes, index.json says 6" in refused(tmp_path)


def test_a_file_cut_short_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    write_files(tmp_path, [b"abc", b"def"])
    found = dataset.Dataset(tmp_path)
    (tmp_path / "items.bin").write_bytes(b"abcd")
    with pytest.raises(errors.StageFailure, match="000002"):
        found.read(1)


def test_a_tensor_item_of_another_size_is_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path, [{"input": np.zeros(4, np.float32)}] * 2)
    edited(tmp_path, lambda document: document["tensors"][0].update(shape=[5]))
    assert "has 16 bytes, its tensors need 20" in refused(tmp_path)
