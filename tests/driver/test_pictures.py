"""One picture, repeated: written once, its golden masks seen by scoring alone, bad ones refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from driver.catalog import Case, load_catalog
from driver.errors import DataFault
from driver.models.manifest import DataSpec
from driver.pictures import index_picture
from tests.driver.miniature import make_tree, png

if TYPE_CHECKING:
    from pathlib import Path

    from driver.datasets import IndexedDataset

COUNT = 1000


@pytest.fixture
def case(tmp_path: Path) -> Case:
    tiny = load_catalog(make_tree(tmp_path / "tree")).case("tiny")
    data = DataSpec(dataset="one-picture", layout="picture", count=COUNT)
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


def test_limit_takes_fewer(case: Case, picture: Path, tmp_path: Path) -> None:
    assert laid_out(case, picture, tmp_path, limit=3).count == 3


def test_a_name_never_reaches_the_vendor(case: Case, picture: Path, tmp_path: Path) -> None:
    dataset = laid_out(case, picture, tmp_path)
    assert "car" not in (dataset.data / "index.json").read_text()
    assert "car.png" in (dataset.labels / "labels.json").read_text()


def test_the_same_picture_is_laid_out_once(case: Case, picture: Path, tmp_path: Path) -> None:
    assert not laid_out(case, picture, tmp_path).cached
    assert laid_out(case, picture, tmp_path).cached
    picture.write_bytes(png(2))
    assert not laid_out(case, picture, tmp_path).cached


def test_golden_masks_beside_the_picture_go_to_scoring_alone(
    case: Case, picture: Path, tmp_path: Path
) -> None:
    for number in range(3):
        (picture.parent / f"sam_gt_{number}.png").write_bytes(png(number))
    dataset = laid_out(case, picture.parent, tmp_path)
    assert sorted(path.name for path in dataset.labels.glob("sam_gt_*")) == [
        "sam_gt_0.png",
        "sam_gt_1.png",
        "sam_gt_2.png",
    ]
    assert not list(dataset.data.glob("sam_gt_*"))


@pytest.mark.parametrize("body", [b"", b"GIF89a of another kind", b"\xff\xd7\xff"])
def test_what_is_no_picture_is_refused(
    case: Case, picture: Path, tmp_path: Path, body: bytes
) -> None:
    picture.write_bytes(body)
    with pytest.raises(DataFault, match="not a JPEG or PNG"):
        laid_out(case, picture, tmp_path)


def test_a_folder_must_hold_one_picture(case: Case, picture: Path, tmp_path: Path) -> None:
    (picture.parent / "second.jpg").write_bytes(png(2))
    with pytest.raises(DataFault, match=r"exactly one picture, found: car\.png, second\.jpg"):
        laid_out(case, picture.parent, tmp_path)


def test_an_empty_folder_is_refused(case: Case, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataFault, match="found: none"):
        laid_out(case, tmp_path / "empty", tmp_path)
