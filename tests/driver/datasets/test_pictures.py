"""One repeated picture: stored once, golden masks for scoring alone, bad ones refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from driver.catalog.catalog import Case, load_catalog
from driver.datasets.pictures import index_picture
from driver.errors import DataFault
from driver.models.case import DataSpec, MaskSpec
from tests.driver.miniature import make_tree, png

if TYPE_CHECKING:
    from pathlib import Path

    from driver.datasets.prepared import IndexedDataset

COUNT = 1000


@pytest.fixture
def case(tmp_path: Path) -> Case:
    tiny = load_catalog(make_tree(tmp_path / "tree")).case("tiny")
    data = DataSpec(
        dataset="one-picture",
        layout="picture",
        count=COUNT,
        masks=MaskSpec(stem="sam_gt_", count=3),
    )
    return Case(manifest=tiny.manifest.model_copy(update={"data": data}), folder=tiny.folder)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "car.png").write_bytes(png(1))
    return folder / "car.png"


def laid_out(case: Case, source: Path, tmp_path: Path, limit: int | None = None) -> IndexedDataset:
    return index_picture(source, case=case, cache=tmp_path / "cache", limit=limit)


def index_of(dataset: IndexedDataset) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((dataset.data / "index.json").read_text())
    return document


def test_the_picture_is_repeated_as_published_and_written_once(
    case: Case, picture: Path, tmp_path: Path
) -> None:
    index = index_of(laid_out(case, picture, tmp_path))
    assert index["count"] == len(index["items"]) == COUNT
    assert {(item["offset"], item["length"]) for item in index["items"]} == {(0, len(png(1)))}
    assert len({item["id"] for item in index["items"]}) == COUNT


def test_a_case_without_masks_ignores_their_names(
    case: Case, picture: Path, tmp_path: Path
) -> None:
    plain = case.manifest.model_copy(
        update={"data": case.manifest.data.model_copy(update={"masks": None})}
    )
    (picture.parent / "sam_gt_0.png").write_bytes(png(0))
    with pytest.raises(DataFault, match="must contain exactly one picture"):
        laid_out(Case(manifest=plain, folder=case.folder), picture.parent, tmp_path)


def test_limit_takes_fewer(case: Case, picture: Path, tmp_path: Path) -> None:
    assert laid_out(case, picture, tmp_path, limit=3).count == 3


def test_a_name_never_reaches_the_vendor(case: Case, picture: Path, tmp_path: Path) -> None:
    dataset = laid_out(case, picture, tmp_path)
    assert "car" not in (dataset.data / "index.json").read_text()
    assert "car.png" in (dataset.labels / "labels.json").read_text()


def test_the_same_picture_is_indexed_once(case: Case, picture: Path, tmp_path: Path) -> None:
    assert not laid_out(case, picture, tmp_path).cached
    assert laid_out(case, picture, tmp_path).cached
    picture.write_bytes(png(2))
    assert not laid_out(case, picture, tmp_path).cached


def test_only_scoring_gets_golden_masks(case: Case, picture: Path, tmp_path: Path) -> None:
    for number in range(3):
        (picture.parent / f"sam_gt_{number}.png").write_bytes(png(number))
    dataset = laid_out(case, picture.parent, tmp_path)
    assert sorted(path.name for path in dataset.labels.glob("sam_gt_*")) == [
        "sam_gt_0.png",
        "sam_gt_1.png",
        "sam_gt_2.png",
    ]
    assert not list(dataset.data.glob("sam_gt_*"))


def test_a_golden_mask_of_another_size_is_refused_before_anything_is_computed(
    case: Case, picture: Path, tmp_path: Path
) -> None:
    for number in range(3):
        (picture.parent / f"sam_gt_{number}.png").write_bytes(png(number))
    (picture.parent / "sam_gt_1.png").write_bytes(png(1, size=9))
    said = r"sam_gt_1\.png is 9 x 9 \(height x width\), but the picture car\.png is 8 x 8"
    with pytest.raises(DataFault, match=said):
        laid_out(case, picture.parent, tmp_path)


@pytest.mark.parametrize(
    ("shape", "said"), [((8, 7), "is 8 x 7"), ((3, 8, 8), "is 3 x 8 x 8"), ((8, 8), None)]
)
def test_a_mask_s_shape_is_read_from_its_array_file(
    case: Case, picture: Path, tmp_path: Path, shape: tuple[int, ...], said: str | None
) -> None:
    for number in range(3):
        np.save(picture.parent / f"sam_gt_{number}.npy", np.zeros(shape, bool))
    if said is None:
        assert laid_out(case, picture.parent, tmp_path).count == COUNT
        return
    with pytest.raises(DataFault, match=said):
        laid_out(case, picture.parent, tmp_path)


@pytest.mark.parametrize("name", ["sam_gt_2.npy", "sam_gt_2.png"])
def test_a_mask_that_cannot_be_read_is_refused(
    case: Case, picture: Path, tmp_path: Path, name: str
) -> None:
    for number in range(2):
        (picture.parent / f"sam_gt_{number}.png").write_bytes(png(number))
    (picture.parent / name).write_bytes(b"neither")
    with pytest.raises(DataFault, match=r"sam_gt_2\.(npy cannot be read|png is not a PNG)"):
        laid_out(case, picture.parent, tmp_path)


def test_masks_are_all_three_or_none(case: Case, picture: Path, tmp_path: Path) -> None:
    (picture.parent / "sam_gt_0.png").write_bytes(png(0))
    with pytest.raises(DataFault, match="missing: sam_gt_1, sam_gt_2"):
        laid_out(case, picture.parent, tmp_path)


def test_a_torch_mask_is_checked_by_scoring(case: Case, picture: Path, tmp_path: Path) -> None:
    for number in range(3):
        (picture.parent / f"sam_gt_{number}.pt").write_bytes(b"PK, whatever torch makes of it")
    assert laid_out(case, picture.parent, tmp_path).count == COUNT


def test_a_truncated_picture_with_masks_is_refused(
    case: Case, picture: Path, tmp_path: Path
) -> None:
    picture.write_bytes(png(1)[:12])
    for number in range(3):
        (picture.parent / f"sam_gt_{number}.png").write_bytes(png(number))
    with pytest.raises(DataFault, match="cannot be read: the file is truncated"):
        laid_out(case, picture.parent, tmp_path)


@pytest.mark.parametrize("body", [b"", b"GIF89a of another kind", b"\xff\xd7\xff"])
def test_a_file_that_is_not_a_picture_is_refused(
    case: Case, picture: Path, tmp_path: Path, body: bytes
) -> None:
    picture.write_bytes(body)
    with pytest.raises(DataFault, match="not a JPEG or PNG"):
        laid_out(case, picture, tmp_path)


def test_a_folder_must_contain_one_picture(case: Case, picture: Path, tmp_path: Path) -> None:
    (picture.parent / "second.jpg").write_bytes(png(2))
    with pytest.raises(
        DataFault, match=r"exactly one picture, but contains: car\.png, second\.jpg"
    ):
        laid_out(case, picture.parent, tmp_path)


def test_an_empty_folder_is_refused(case: Case, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataFault, match="contains: none"):
        laid_out(case, tmp_path / "empty", tmp_path)
