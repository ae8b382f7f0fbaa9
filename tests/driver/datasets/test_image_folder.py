"""Image folders: found or refused with both options, and indexed in an order independent of labels."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import Case, load_catalog
from driver.datasets.image_folder import index_image_folder
from driver.datasets.locate import locate_dataset
from driver.datasets.prepared import item_name
from driver.errors import DataFault
from tests.driver.miniature import make_pictures, make_tree, png

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return load_catalog(make_tree(tmp_path / "tree")).case("tiny")


def test_without_a_dataset_both_options_are_named(case: Case) -> None:
    with pytest.raises(DataFault) as caught:
        locate_dataset(case, None, {})
    assert "DATA=synthetic" in caught.value.remedy
    assert "val/<synset>" in caught.value.remedy
    assert caught.value.exit_code == 3


def test_synthetic_data_must_be_requested(case: Case) -> None:
    assert locate_dataset(case, "synthetic", {}).kind == "synthetic"


def test_the_hosts_setting_is_used(case: Case, tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "pictures")
    assert locate_dataset(case, None, {"tiny-val": folder}).folder == folder


def test_a_missing_folder_is_named(case: Case, tmp_path: Path) -> None:
    with pytest.raises(DataFault, match="nowhere does not exist"):
        locate_dataset(case, str(tmp_path / "nowhere"), {})


def refuse(case: Case, folder: Path, said: str) -> None:
    with pytest.raises(DataFault, match=said):
        index_image_folder(folder, case=case, cache=folder.parent / "cache")


def test_an_empty_folder_is_refused(case: Case, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refuse(case, tmp_path / "empty", "is empty")


def test_pictures_without_class_folders_are_refused(case: Case, tmp_path: Path) -> None:
    (tmp_path / "flat" / "val").mkdir(parents=True)
    (tmp_path / "flat" / "val" / "a.png").write_bytes(png(1))
    refuse(case, tmp_path / "flat", "no class folders")


def test_a_missing_class_folder_is_refused_because_class_numbers_would_shift(
    case: Case, tmp_path: Path
) -> None:
    folder = make_pictures(tmp_path / "pictures")
    for path in (folder / "val" / "dog").iterdir():
        path.unlink()
    (folder / "val" / "dog").rmdir()
    refuse(case, folder, "has 1 class folders, but tiny-val has 2")


def test_a_text_file_with_a_jpeg_suffix_is_named(case: Case, tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "pictures")
    (folder / "val" / "cat" / "notes.JPEG").write_text("not a picture")
    refuse(case, folder, r"cat/notes\.JPEG is not a JPEG or PNG")


def test_the_guest_sees_neither_labels_nor_names_and_scoring_sees_both(
    case: Case, tmp_path: Path
) -> None:
    folder = make_pictures(tmp_path / "pictures", per_class=5)
    indexed = index_image_folder(folder, case=case, cache=tmp_path / "cache")
    seen = (indexed.data / "index.json").read_text() + str(sorted(indexed.data.iterdir()))
    assert "cat" not in seen
    assert "dog" not in seen
    labels = json.loads((indexed.labels / "labels.json").read_text())
    assert sorted(labels["labels"]) == [0] * 5 + [1] * 5
    assert item_name(indexed.labels, "000001") == labels["names"][0]


def test_the_order_reveals_nothing_about_classes(case: Case, tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "pictures", per_class=20)
    indexed = index_image_folder(folder, case=case, cache=tmp_path / "cache")
    order = json.loads((indexed.labels / "labels.json").read_text())["labels"]
    changes = sum(a != b for a, b in itertools.pairwise(order))
    assert changes > 8


def test_items_are_the_files_byte_for_byte(case: Case, tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "pictures")
    indexed = index_image_folder(folder, case=case, cache=tmp_path / "cache")
    index = json.loads((indexed.data / "index.json").read_text())
    names = json.loads((indexed.labels / "labels.json").read_text())["names"]
    packed = (indexed.data / "items.bin").read_bytes()
    for item, name in zip(index["items"], names, strict=True):
        piece = packed[item["offset"] : item["offset"] + item["length"]]
        assert piece == (folder / "val" / name).read_bytes()


def test_the_index_is_made_once_and_again_after_a_change(case: Case, tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "pictures")
    cache = tmp_path / "cache"
    first = index_image_folder(folder, case=case, cache=cache)
    again = index_image_folder(folder, case=case, cache=cache)
    assert (first.cached, again.cached) == (False, True)
    (folder / "val" / "cat" / "cat_0.png").write_bytes(png(200, size=9))
    changed = index_image_folder(folder, case=case, cache=cache)
    assert not changed.cached
    assert changed.sha256 != first.sha256


def test_a_limit_takes_that_many_items(case: Case, tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "pictures")
    assert index_image_folder(folder, case=case, cache=tmp_path / "cache", limit=3).count == 3


def test_an_interrupted_index_leaves_nothing_behind(case: Case, tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "pictures")

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_image_folder(folder, case=case, cache=tmp_path / "cache", on_progress=interrupt)
    assert not [path for path in (tmp_path / "cache/datasets").iterdir() if path.is_dir()]
