"""Every layout of the validation set becomes the same dataset; every broken one is reported."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from driver.datasets.image_folder import index_image_folder
from driver.datasets.imagenet.layout import Layout
from driver.datasets.imagenet.sources import open_source
from driver.datasets.prepared import read_indexed, read_prepared
from driver.errors import DataFault, UsageFault
from tests.driver.datasets.imagenet.ilsvrc import (
    CLASSES,
    DEVKIT,
    SYNSETS,
    TAR,
    Pictures,
    make_case,
    make_pictures,
    member,
    meta_mat,
    truth_text,
    write_devkit,
    write_flat,
    write_image_folder,
    write_tar,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.catalog.catalog import Case
    from driver.datasets.prepared import IndexedDataset

PICTURES = make_pictures()
TRUTH = "ILSVRC2012_validation_ground_truth.txt"


def from_tar(src: Path) -> Case:
    md5 = write_tar(src / TAR, PICTURES)
    write_devkit(src / DEVKIT, PICTURES)
    return make_case(src, md5)


def from_flat_with_devkit_files(src: Path) -> Case:
    write_flat(src / "ILSVRC2012_img_val", PICTURES)
    (src / "meta.mat").write_bytes(meta_mat())
    (src / TRUTH).write_bytes(truth_text(PICTURES))
    return make_case(src)


def from_flat_with_label_file(src: Path) -> Case:
    write_flat(src / "val", PICTURES)
    labels = zip(PICTURES.names, PICTURES.labels, strict=True)
    (src / "val_label.txt").write_text("".join(f"{name} {label}\n" for name, label in labels))
    return make_case(src)


def from_image_folder(src: Path) -> Case:
    write_image_folder(src, PICTURES)
    return make_case(src)


FORMS = [from_tar, from_flat_with_devkit_files, from_flat_with_label_file, from_image_folder]


def prepare(src: Path, case: Case, home: Path, md5: str | None = None) -> IndexedDataset:
    source = open_source(src, case, md5)
    Layout(home / "d", source.reader, source.labelled).write(source.origin)
    return read_indexed(home / "d", cached=False)


def items(dataset: IndexedDataset) -> dict[str, tuple[bytes, int]]:
    """Return file name → (bytes, label) as guest and scoring find them."""
    index = json.loads((dataset.data / "index.json").read_text())
    labels = json.loads((dataset.labels / "labels.json").read_text())
    blob = (dataset.data / "items.bin").read_bytes()
    return {
        name.rpartition("/")[2]: (blob[item["offset"] : item["offset"] + item["length"]], label)
        for item, label, name in zip(index["items"], labels["labels"], labels["names"], strict=True)
    }


def expected(pictures: Pictures) -> dict[str, tuple[bytes, int]]:
    zipped = zip(pictures.names, pictures.payloads, pictures.labels, strict=True)
    return {name: (payload, label) for name, payload, label in zipped}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_layout_gives_every_picture_its_label(
    tmp_path: Path, form: Callable[[Path], Case]
) -> None:
    case = form(tmp_path / "src")
    assert items(prepare(tmp_path / "src", case, tmp_path)) == expected(PICTURES)


def test_every_layout_gives_the_same_dataset_as_an_image_folder(tmp_path: Path) -> None:
    digests = set()
    for form in FORMS:
        src, home = tmp_path / form.__name__, tmp_path / f"{form.__name__}-home"
        digests.add(prepare(src, form(src), home).sha256)
    folder = tmp_path / from_image_folder.__name__
    digests.add(index_image_folder(folder, case=make_case(folder), cache=tmp_path / "c").sha256)
    assert len(digests) == 1


def test_names_and_classes_are_those_of_an_image_folder(tmp_path: Path) -> None:
    dataset = prepare(tmp_path / "src", from_tar(tmp_path / "src"), tmp_path)
    labels = json.loads((dataset.labels / "labels.json").read_text())
    assert labels["classes"] == list(CLASSES)
    first = labels["names"][0]
    assert first.split("/")[0] == CLASSES[labels["labels"][0]]


def test_the_index_reveals_no_class_and_no_name(tmp_path: Path) -> None:
    dataset = prepare(tmp_path / "src", from_tar(tmp_path / "src"), tmp_path)
    index = (dataset.data / "index.json").read_text()
    assert "ILSVRC" not in index
    assert not any(name in index for name in CLASSES)
    assert sorted(path.name for path in dataset.data.iterdir()) == ["index.json", "items.bin"]


def test_the_archive_may_hold_its_pictures_in_a_folder(tmp_path: Path) -> None:
    src = tmp_path / "src"
    folder = [member("val", type=tarfile.DIRTYPE), member("val/notes.txt", b"x")]
    md5 = write_tar(src / TAR, PICTURES, folder, prefix="./val/")
    write_devkit(src / DEVKIT, PICTURES)
    assert items(prepare(src, make_case(src, md5), tmp_path)) == expected(PICTURES)


def test_the_tar_itself_may_be_named(tmp_path: Path) -> None:
    case = from_tar(tmp_path / "src")
    assert prepare(tmp_path / "src" / TAR, case, tmp_path).count == len(PICTURES.names)


def test_the_dataset_records_its_source(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    prepare(src, case, tmp_path)
    recorded = json.loads((tmp_path / "d/source.json").read_text())
    assert (recorded["archive"], recorded["published"]) == (TAR, True)
    md5 = write_tar(src / TAR, PICTURES, [member("more.txt", b"x")])
    prepare(src, case, tmp_path, md5)
    recorded = json.loads((tmp_path / "d/source.json").read_text())
    assert (recorded["md5"], recorded["published"]) == (md5, False)


def test_a_wrong_md5_is_an_error_with_both_sums_and_leaves_nothing(tmp_path: Path) -> None:
    src = tmp_path / "src"
    from_tar(src)
    found = write_tar(src / TAR, PICTURES, [member("more.txt", b"x")])
    with pytest.raises(DataFault) as caught:
        prepare(src, make_case(src, "0" * 32), tmp_path)
    assert found in caught.value.message
    assert "0" * 32 in caught.value.message
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["src"]


HOSTILE: dict[str, dict[str, Any]] = {
    "../evil.JPEG": {},
    "a/../../evil.JPEG": {},
    "/etc/evil.JPEG": {},
    "soft.JPEG": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
    "hard.JPEG": {"type": tarfile.LNKTYPE, "linkname": PICTURES.names[0]},
    "pipe": {"type": tarfile.FIFOTYPE},
    "device": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3},
    "disk": {"type": tarfile.BLKTYPE},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_is_refused_by_name(tmp_path: Path, name: str) -> None:
    src = tmp_path / "src"
    md5 = write_tar(src / TAR, PICTURES, [member(name, **HOSTILE[name])])
    write_devkit(src / DEVKIT, PICTURES)
    with pytest.raises(DataFault, match="the unsafe member") as caught:
        prepare(src, make_case(src, md5), tmp_path)
    assert repr(name) in caught.value.message


def test_a_picture_that_is_in_the_archive_twice_is_refused(tmp_path: Path) -> None:
    src = tmp_path / "src"
    md5 = write_tar(src / TAR, PICTURES, [member(f"x/{PICTURES.names[0]}", b"\xff\xd8\xff")])
    write_devkit(src / DEVKIT, PICTURES)
    with pytest.raises(DataFault, match="twice"):
        prepare(src, make_case(src, md5), tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 511, 512, 700, 1024, 2048, -512, -10240])
def test_an_archive_truncated_anywhere_is_an_error(tmp_path: Path, keep: int) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    whole = (src / TAR).read_bytes()
    end = len(whole.rstrip(b"\0")) + 512
    (src / TAR).write_bytes(whole[: keep if keep >= 0 else end + keep])
    with pytest.raises(DataFault, match=r"truncated|contains no picture"):
        prepare(src, case, tmp_path)


def test_an_archive_cut_between_two_members_lacks_its_end_mark(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    with tarfile.open(src / TAR) as archive:
        third = archive.getmembers()[2].offset
    (src / TAR).write_bytes((src / TAR).read_bytes()[:third])
    with pytest.raises(DataFault, match="no end mark"):
        prepare(src, case, tmp_path)


def test_a_non_archive_is_an_error(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    (src / TAR).write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(DataFault, match="not a tar archive"):
        prepare(src, case, tmp_path)


def test_a_file_that_is_not_a_picture_is_named(tmp_path: Path) -> None:
    src = tmp_path / "src"
    bad = Pictures(PICTURES.names, (*PICTURES.payloads[:-1], b"<html>"), PICTURES.labels)
    md5 = write_tar(src / TAR, bad)
    write_devkit(src / DEVKIT, bad)
    with pytest.raises(DataFault, match=f"{PICTURES.names[-1]} is not a JPEG or PNG"):
        prepare(src, make_case(src, md5), tmp_path)


def test_a_missing_devkit_names_the_file_and_its_place(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    (src / DEVKIT).unlink()
    with pytest.raises(DataFault, match="has no development kit") as caught:
        prepare(src, case, tmp_path)
    assert DEVKIT in caught.value.remedy


@pytest.mark.parametrize("lost", ["meta", "truth"])
def test_a_devkit_that_lacks_a_file_names_it(tmp_path: Path, lost: str) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    write_devkit(src / DEVKIT, PICTURES, **{lost: None})
    with pytest.raises(DataFault, match="lacks meta.mat" if lost == "meta" else f"lacks {TRUTH}"):
        prepare(src, case, tmp_path)


def test_loose_devkit_files_must_both_be_there(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_flat_with_devkit_files(src)
    (src / TRUTH).unlink()
    with pytest.raises(DataFault, match=f"{TRUTH} is missing"):
        prepare(src, case, tmp_path)


@pytest.mark.parametrize(
    ("meta", "truth", "said"),
    [
        (b"not matlab", None, "meta.mat of .* cannot be read"),
        (meta_mat(SYNSETS[:2]), None, "names only 2 of 3 classes"),
        (None, b"1\n2\n", "has 2 labels for 12 pictures"),
        (None, b"1\n" * 13, "has 13 labels for 12 pictures"),
        (None, b"1\n" * 11 + b"4\n", "line 12: '4' is not a class from 1 to 3"),
        (None, b"1\n" * 11 + b"x\n", "line 12: 'x' is not a class"),
        (None, b"0\n" * 12, "line 1: '0' is not a class"),
    ],
)
def test_a_devkit_that_does_not_match_is_an_error(
    tmp_path: Path, meta: bytes | None, truth: bytes | None, said: str
) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    files = {"meta": meta or meta_mat(), "truth": truth or truth_text(PICTURES)}
    write_devkit(src / DEVKIT, PICTURES, **files)
    with pytest.raises(DataFault, match=said):
        prepare(src, case, tmp_path)


def test_a_truncated_devkit_is_an_error(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    (src / DEVKIT).write_bytes((src / DEVKIT).read_bytes()[:200])
    with pytest.raises(DataFault, match="truncated"):
        prepare(src, case, tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda lines: lines[:-2],
            "has 10 labels for 12 pictures .such as ILSVRC2012_val_0",
        ),
        (lambda lines: [*lines, "more.JPEG 1"], "has 13 labels for 12 pictures"),
        (lambda lines: [*lines[:-1], "other.JPEG 1"], "no label for 1 picture "),
        (lambda lines: [*lines[:-1], "a b c"], "line 12: 'a b c' is not the name of a new picture"),
        (lambda lines: [*lines[:-1], lines[0]], "line 12"),
        (lambda lines: [*lines[:-1], lines[-1][:-1] + "3"], "3 classes are numbered 0 to 2"),
    ],
)
def test_a_label_file_that_does_not_match_is_an_error(
    tmp_path: Path, change: Callable[[list[str]], list[str]], said: str
) -> None:
    src = tmp_path / "src"
    case = from_flat_with_label_file(src)
    lines = (src / "val_label.txt").read_text().splitlines()
    (src / "val_label.txt").write_text("\n".join(change(lines)))
    with pytest.raises(DataFault, match=said):
        prepare(src, case, tmp_path)


def test_a_picture_without_a_number_has_no_label(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_flat_with_devkit_files(src)
    folder = src / "ILSVRC2012_img_val"
    (folder / PICTURES.names[0]).rename(folder / "cat.JPEG")
    with pytest.raises(DataFault, match=r"cat\.JPEG has no number from 1 to 12"):
        prepare(src, case, tmp_path)


def test_a_class_folder_that_is_not_a_synset_is_named(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_image_folder(src)
    (src / "val" / "cats").mkdir()
    with pytest.raises(DataFault, match=r"such as 'cats', outside the classes"):
        prepare(src, case, tmp_path)
    with pytest.raises(DataFault, match="such as 'cats'"):
        index_image_folder(src, case=case, cache=tmp_path / "cache")


def test_a_missing_class_folder_is_an_error(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_image_folder(src)
    for path in (src / "val" / CLASSES[0]).iterdir():
        path.unlink()
    (src / "val" / CLASSES[0]).rmdir()
    with pytest.raises(DataFault, match="2 class folders"):
        prepare(src, case, tmp_path)


def test_a_missing_or_unknown_source_is_an_error(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    with pytest.raises(DataFault, match="does not exist"):
        open_source(tmp_path / "none", case)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataFault, match="neither a folder nor"):
        open_source(tmp_path / "notes.txt", case)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataFault, match="is empty"):
        open_source(tmp_path / "empty", case)


def test_md5_is_for_an_archive_and_must_be_one(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    with pytest.raises(UsageFault, match="is not an md5"):
        open_source(src, case, "123")
    with pytest.raises(UsageFault, match="names no archive"):
        open_source(src / TAR, make_case(tmp_path / "other"))
    from_image_folder(tmp_path / "folder")
    with pytest.raises(UsageFault, match="MD5 is only for an archive"):
        open_source(tmp_path / "folder", case, "0" * 32)


def test_a_prepared_dataset_supports_limit_and_only_its_own_case(tmp_path: Path) -> None:
    case = from_tar(tmp_path / "src")
    prepare(tmp_path / "src", case, tmp_path)
    assert read_prepared(tmp_path / "d", memory=tmp_path / "m", case=case).count == 12
    assert read_prepared(tmp_path / "d", memory=tmp_path / "m", case=case, limit=5).count == 5
    assert read_prepared(tmp_path / "d", memory=tmp_path / "m", case=case, limit=500).count == 12
    data = case.manifest.data.model_copy(update={"classes": 7})
    other = case.manifest.model_copy(update={"data": data})
    with pytest.raises(DataFault, match="has 3 class folders"):
        read_prepared(
            tmp_path / "d",
            memory=tmp_path / "m",
            case=type(case)(manifest=other, folder=case.folder),
        )
