"""Verb data for COCO: its folder, its archives as published, and files that are not whole or not COCO's."""

from __future__ import annotations

import ast
import io
import json
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.vendor_hooks.reference.stack import CASES
from tests.vendor_hooks.reference.test_data import draw
from tests.vendor_hooks.reference.test_data_of_tasks import items_of, labels_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness.job_folder import Outcome

pytestmark = pytest.mark.stack

CASE = CASES / "detr_resnet_50"
ANNOTATIONS = "annotations/instances_val2017.json"
PICTURES = {"000000000139.jpg": (64, 48), "000000000285.jpg": (48, 64)}
CREATED = "2017-09-01T12:00:00"


def jpeg(width: int, height: int) -> bytes:
    payload = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(payload, "JPEG")
    return payload.getvalue()


def document() -> dict[str, Any]:
    """Return a small instances_val2017.json, with the fields that the true one has."""
    images = [
        {"id": number, "width": width, "height": height, "file_name": name, "license": 1}
        for number, (name, (width, height)) in zip((139, 285), PICTURES.items(), strict=True)
    ]
    objects = [
        {
            "id": number,
            "image_id": 285,
            "category_id": category,
            "bbox": [1.5, 2.0, 30.0, 40.25],
            "area": 800.5,
            "iscrowd": crowd,
            "segmentation": [[1, 2, 3, 4, 5, 6]],
        }
        for number, category, crowd in ((7, 23, 0), (8, 90, 1))
    ]
    return {
        "info": {"description": "COCO 2017 Dataset", "year": 2017, "date_created": CREATED},
        "licenses": [],
        "images": images,
        "annotations": objects,
        "categories": [{"id": number, "name": name} for number, name in categories().items()],
    }


def categories() -> dict[int, str]:
    """Return the 80 categories from the case's table."""
    source = (CASE / "coco.py").read_text(encoding="utf-8")
    table = source.partition("CATEGORIES = ")[2].partition("}")[0] + "}"
    found: dict[int, str] = ast.literal_eval(table)
    return found


def files(changed: Callable[[dict[str, Any]], None] | None = None) -> dict[str, bytes]:
    """Return the whole dataset by path; ``changed`` edits its document."""
    annotations = document()
    if changed is not None:
        changed(annotations)
    found = {f"val2017/{name}": jpeg(*size) for name, size in PICTURES.items()}
    return {**found, ANNOTATIONS: json.dumps(annotations).encode()}


def in_folder(folder: Path, found: dict[str, bytes]) -> Path:
    for name, payload in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload)
    return folder


def in_zips(folder: Path, found: dict[str, bytes]) -> Path:
    """Write COCO's own two archives; the other one has other files too."""
    folder.mkdir()
    for name, part in (("val2017.zip", "val2017/"), ("annotations_trainval2017.zip", "annot")):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for path, payload in found.items():
                if path.startswith(part):
                    archive.writestr(path, payload)
            archive.writestr("annotations/captions_val2017.json", b"{}")
    return folder


def in_tar(folder: Path, found: dict[str, bytes]) -> Path:
    """Write one archive with a folder around COCO's layout."""
    folder.mkdir()
    with tarfile.open(folder / "coco.tar", "w") as archive:
        for path, payload in found.items():
            member = tarfile.TarInfo(f"./coco/{path}")
            member.size = len(payload)
            archive.addfile(member, io.BytesIO(payload))
    return folder / "coco.tar"


def read(folder: Path, python: Path, source: Path, count: int | None = None) -> Outcome:
    return draw(
        folder / "job",
        python,
        case=CASE,
        source=source,
        task="object-detection",
        case_options={"source": {"name": source.name, "count": count}},
    )


@pytest.mark.parametrize("written", [in_folder, in_zips, in_tar])
def test_pictures_are_whole_files_and_labels_have_their_objects(
    written: Callable[[Path, dict[str, bytes]], Path], reference_python: Path, tmp_path: Path
) -> None:
    found = files()
    made = read(tmp_path, reference_python, written(tmp_path / "coco", found))
    assert items_of(made) == [found[f"val2017/{name}"] for name in PICTURES]
    labels = labels_of(made)
    assert labels["names"] == [f"val2017/{name}" for name in PICTURES]
    assert labels["labels"][0] == {"id": 139, "width": 64, "height": 48, "objects": []}
    kept = {"bbox": [1.5, 2.0, 30.0, 40.25], "area": 800.5}
    assert labels["labels"][1]["objects"] == [
        {"id": 7, "category_id": 23, "iscrowd": 0, **kept},
        {"id": 8, "category_id": 90, "iscrowd": 1, **kept},
    ]


def test_a_limit_takes_the_first_pictures(reference_python: Path, tmp_path: Path) -> None:
    source = in_folder(tmp_path / "coco", files())
    assert len(items_of(read(tmp_path, reference_python, source, count=1))) == 1


def of_2014(found: dict[str, Any]) -> None:
    found["info"]["year"] = 2014


def of_91(found: dict[str, Any]) -> None:
    found["categories"].insert(11, {"id": 12, "name": "street sign"})


def of_80_from_0(found: dict[str, Any]) -> None:
    for number, one in enumerate(found["categories"]):
        one["id"] = number


def of_keypoints(found: dict[str, Any]) -> None:
    del found["categories"][1:]


def of_captions(found: dict[str, Any]) -> None:
    del found["categories"]
    found["annotations"] = [{"id": 1, "image_id": 139, "caption": "a room"}]


def with_an_unknown_picture(found: dict[str, Any]) -> None:
    found["annotations"][0]["image_id"] = 999


def with_an_unknown_category(found: dict[str, Any]) -> None:
    found["annotations"][0]["category_id"] = 12


def with_a_short_box(found: dict[str, Any]) -> None:
    found["annotations"][0]["bbox"] = [1, 2, 3]


def with_names_for_pictures(found: dict[str, Any]) -> None:
    found["images"] = ["000000000139.jpg"]


def of_another_size(found: dict[str, Any]) -> None:
    found["images"][1]["width"] = 640


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (of_2014, "is COCO 2014, not 2017"),
        (of_91, "81 given): 12 is 'street sign' instead of None"),
        (of_80_from_0, "80 given): 0 is 'person' instead of None, 1 is 'bicycle' instead of"),
        (of_keypoints, "1 given): 2 is None instead of 'bicycle'"),
        (of_captions, "is not COCO's: 'category_id' is missing"),
        (with_an_unknown_picture, "object 7 is in picture 999, which is not listed"),
        (with_an_unknown_category, "object 7 has category 12, which is not listed"),
        (with_a_short_box, "object 7 has the bbox [1, 2, 3], which is not four numbers"),
        (with_names_for_pictures, "is not COCO's: its parts are of other types"),
        (of_another_size, "val2017/000000000285.jpg is 48 x 64, but annotations/"),
    ],
)
def test_annotations_of_another_dataset_are_refused(
    changed: Callable[[dict[str, Any]], None],
    message: str,
    reference_python: Path,
    tmp_path: Path,
) -> None:
    source = in_folder(tmp_path / "coco", files(changed))
    assert message in read(tmp_path, reference_python, source).failed("data")


@pytest.mark.parametrize(
    ("name", "bytes_kept", "message"),
    [
        (ANNOTATIONS, 300, "is not whole JSON (cut short?)"),
        (ANNOTATIONS, None, "it has no annotations/instances_val2017.json"),
        ("val2017/000000000285.jpg", None, "1 of 2 pictures are missing in val2017/: 000000000285"),
        ("val2017/000000000285.jpg", 400, "val2017/000000000285.jpg is not a whole picture"),
    ],
)
def test_a_file_that_is_cut_short_or_missing_is_named(
    name: str, bytes_kept: int | None, message: str, reference_python: Path, tmp_path: Path
) -> None:
    found = files()
    if bytes_kept is None:
        del found[name]
    else:
        found[name] = found[name][:bytes_kept]
    source = in_folder(tmp_path / "coco", found)
    assert message in read(tmp_path, reference_python, source).failed("data")


@pytest.mark.parametrize("written", [in_zips, in_tar])
def test_an_archive_that_is_cut_short_is_named(
    written: Callable[[Path, dict[str, bytes]], Path], reference_python: Path, tmp_path: Path
) -> None:
    source = written(tmp_path / "coco", files())
    archive = source / "val2017.zip" if source.is_dir() else source
    archive.write_bytes(archive.read_bytes()[:900])
    message = read(tmp_path, reference_python, source).failed("data")
    name = archive.name if source.is_dir() else "the file"
    assert message.startswith(f"{name} is no .zip and no uncompressed .tar, or it is cut short: ")


def test_synthetic_pictures_have_cocos_sizes_and_objects_within_them(
    reference_python: Path, tmp_path: Path
) -> None:
    spec = {"layout": "own", "count": 5, "width": 64, "height": 48, "seed": 3}
    made = draw(
        tmp_path / "job",
        reference_python,
        case=CASE,
        task="object-detection",
        case_options={"synthetic": spec},
    )
    items, labels = items_of(made), labels_of(made)["labels"]
    sizes = [Image.open(io.BytesIO(payload)).size for payload in items]
    assert sizes == [(one["width"], one["height"]) for one in labels]
    assert len(set(items)) == 5
    assert any(width < height for width, height in sizes)
    for one in labels:
        assert one["objects"]
        for found in one["objects"]:
            left, top, width, height = found["bbox"]
            assert 0 <= left <= left + width <= one["width"] + 0.01
            assert 0 <= top <= top + height <= one["height"] + 0.01
