"""`make data` from the command line, with ImageNet's own case; and its speed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from driver.datasets.imagenet.layout import Layout
from driver.datasets.imagenet.sources import open_source
from tests.driver.datasets.imagenet.ilsvrc import (
    DEVKIT,
    TAR,
    Pictures,
    make_case,
    make_pictures,
    meta_mat,
    write_devkit,
    write_flat,
    write_tar,
)
from tests.driver.test_cli import assay

if TYPE_CHECKING:
    from pathlib import Path

MANY = 50_000
PICTURES_A_SECOND = 5000
SYNSETS = tuple(f"n{(number * 7919) % 10**8:08d}" for number in range(1, 1001))


def write_imagenet(src: Path) -> str:
    """Write a small archive with a devkit of 1000 classes; return the archive's md5."""
    pictures = make_pictures()
    md5 = write_tar(src / TAR, pictures)
    truth = "".join(f"{83 * place + 1}\n" for place in range(len(pictures.names))).encode()
    write_devkit(src / DEVKIT, pictures, meta=meta_mat(SYNSETS), truth=truth)
    return md5


def test_a_generated_archive_is_prepared_and_found_without_a_setting(tmp_path: Path) -> None:
    md5 = write_imagenet(tmp_path / "src")
    home = tmp_path / "home"
    arguments = ("data", "--case", "vit", "--src", str(tmp_path / "src"), "--md5", md5)
    done = assay(*arguments, home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(home / "datasets/imagenet2012")
    assert "12 pictures, but the published one has 50000" in done.stderr
    labels = json.loads((home / "datasets/imagenet2012/labels/labels.json").read_text())
    first = labels["names"].index(next(n for n in labels["names"] if n.endswith("_00000001.JPEG")))
    assert labels["classes"][labels["labels"][first]] == SYNSETS[0]
    again = assay(*arguments, home=home)
    assert "already prepared" in again.stderr
    doctor = json.loads(assay("doctor", "--format", "json", home=home).stdout)
    listed = [one for one in doctor["checks"] if one["what"].startswith("dataset imagenet2012")]
    assert listed[0]["status"] == "ok"


def test_an_archive_that_is_not_the_published_one_is_refused_with_both_sums(tmp_path: Path) -> None:
    md5 = write_imagenet(tmp_path / "src")
    done = assay("data", "--case", "vit", "--src", str(tmp_path / "src"), home=tmp_path / "home")
    assert done.returncode == 3
    assert md5 in done.stderr
    assert "29b22e2961454d5413ddabcf34fc5622" in done.stderr
    assert not (tmp_path / "home/datasets/imagenet2012").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--case", "vit"], "needs CASE and SRC"),
        (["--src", "x"], "needs CASE and SRC"),
        (["--case", "vti", "--src", "x"], "did you mean"),
        (["--case", "sam", "--src", "x"], "needs no preparation"),
    ],
)
def test_wrong_usage_is_reported(arguments: list[str], said: str) -> None:
    done = assay("data", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def many() -> Pictures:
    few = make_pictures(1000, length=3000)
    return Pictures(
        names=tuple(f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, MANY + 1)),
        payloads=few.payloads * (MANY // 1000),
        labels=few.labels * (MANY // 1000),
    )


@pytest.mark.slow
@pytest.mark.parametrize("form", ["archive", "flat"])
def test_fifty_thousand_pictures_are_indexed_at_5000_a_second(tmp_path: Path, form: str) -> None:
    src, pictures = tmp_path / "src", many()
    md5 = write_tar(src / TAR, pictures) if form == "archive" else None
    if form == "flat":
        write_flat(src / "val", pictures)
    write_devkit(src / DEVKIT, pictures)
    case = make_case(tmp_path, md5)
    # Processor seconds: other tests run beside this one, and the disk is not ours.
    started = time.process_time()
    source = open_source(src, case)
    Layout(tmp_path / "d", source.reader, source.labelled).write(source.origin)
    spent_s = time.process_time() - started
    assert MANY / spent_s >= PICTURES_A_SECOND, f"{spent_s:.1f} s of a processor"
