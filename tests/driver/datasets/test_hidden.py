"""Hidden files are no pictures and no weights, in whatever form a dataset comes; they are named once."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import Case, load_catalog
from driver.datasets.hidden import hidden_note
from driver.datasets.image_folder import index_image_folder
from driver.datasets.imagenet.archive import Archive
from driver.datasets.imagenet.folder import flat_pictures
from driver.datasets.pictures import index_picture
from driver.datasets.weights import locate_weights
from driver.system.settings import load_settings
from tests.driver.miniature import make_pictures, make_tree, png
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".jpeg", ".jpg", ".png")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return load_catalog(make_tree(tmp_path / "tree")).case("tiny")


def hide(folder: Path) -> None:
    """Put what macOS puts on foreign disks beside every file."""
    for file in [path for path in folder.rglob("*") if path.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")
        (file.parent / ".DS_Store").write_bytes(b"x")


def test_an_image_folder_has_the_same_digest_with_and_without_them(
    case: Case, tmp_path: Path
) -> None:
    root = make_pictures(tmp_path / "pictures")
    before = index_image_folder(root, case=case, cache=tmp_path / "one")
    hide(root)
    after = index_image_folder(root, case=case, cache=tmp_path / "two")
    assert (after.count, after.sha256) == (before.count, before.sha256)


def test_a_single_picture_is_still_the_only_one(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "groceries.png").write_bytes(png(8))
    hide(folder)
    assert index_picture(folder, case=case, cache=tmp_path / "cache").count == 4


def test_flat_pictures_and_archives_leave_them_out(tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(8))
    hide(folder)
    assert [one.name for one in flat_pictures(folder, SUFFIXES)] == ["a.png"]
    with tarfile.open(tmp_path / "val.tar", "w") as archive:
        for name in ("a.png", "._a.png", ".DS_Store"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"abcd"))
    assert [one.name for one in Archive(tmp_path / "val.tar", "0" * 32, SUFFIXES).pictures] == [
        "a.png"
    ]


def test_a_weights_folder_with_one_checkpoint_has_one(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.pth").write_bytes(b"w")
    hide(folder)
    settings = load_settings({"ASSAY_HOME": str(tmp_path / "home")}, tmp_path)
    assert locate_weights(case, str(folder), settings).files == ("model.pth",)


def test_they_are_named_once_and_not_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Lab(tmp_path)
    said: list[str] = []
    hide(lab.data)
    monkeypatch.setattr(lab.listener, "note", said.append)
    lab.run()
    lab.run()
    assert len([line for line in said if "hidden" in line]) == 1
    assert said[0].startswith("ignored 4 hidden files below ")
    assert hidden_note(tmp_path / "absent", SUFFIXES) is None
