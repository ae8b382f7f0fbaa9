"""Pictures that a stage writes for people are kept with the result, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.base import StageName
from driver.results.store import PICTURE_BYTES, PICTURES, keep_pictures
from driver.runners.spec import container_spec
from tests.driver.jobs import make_caller, make_case, make_job, make_vendor
from tests.driver.runners.test_spec import ALL_PLACES, STACKS

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"


def left(out: Path, name: str, body: bytes = PNG) -> Path:
    path = out / "pictures" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def kept(tmp_path: Path) -> set[str]:
    (tmp_path / "result").mkdir(exist_ok=True)
    return {path.name for path in keep_pictures(tmp_path / "out", tmp_path / "result")}


def test_pictures_are_kept_with_the_result(tmp_path: Path) -> None:
    left(tmp_path / "out", "000001.png", PNG + b"first")
    assert kept(tmp_path) == {"000001.png"}
    assert (tmp_path / "result" / "pictures" / "000001.png").read_bytes() == PNG + b"first"


def test_only_pictures_are_kept(tmp_path: Path) -> None:
    left(tmp_path / "out", "000001.png")
    left(tmp_path / "out", "weights.bin")
    assert kept(tmp_path) == {"000001.png"}


def test_a_stage_without_pictures_leaves_no_folder(tmp_path: Path) -> None:
    assert kept(tmp_path) == set()
    assert not (tmp_path / "result" / "pictures").exists()


def test_links_are_not_kept(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"of the host")
    left(tmp_path / "out", "000001.png")
    (tmp_path / "out" / "pictures" / "000002.png").symlink_to(secret)
    assert kept(tmp_path) == {"000001.png"}


def test_a_pictures_folder_that_is_a_link_is_not_kept(tmp_path: Path) -> None:
    elsewhere = left(tmp_path / "elsewhere", "000001.png").parent
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pictures").symlink_to(elsewhere)
    assert kept(tmp_path) == set()


def test_number_and_size_of_pictures_are_limited(tmp_path: Path) -> None:
    for number in range(PICTURES + 3):
        left(tmp_path / "out", f"{number:06d}.png")
    with left(tmp_path / "out", "000000.png").open("r+b") as stream:
        stream.truncate(PICTURE_BYTES + 1)
    names = kept(tmp_path)
    assert len(names) == PICTURES
    assert "000000.png" not in names


def test_scoring_sees_weights_only_if_a_model_is_the_judge() -> None:
    def seen(*, scoring: bool) -> Path | None:
        case = make_case()
        weights = case.weights.model_copy(update={"scoring": scoring})
        return container_spec(
            make_job(StageName.SCORE),
            ALL_PLACES,
            vendor=make_vendor(),
            case=case.model_copy(update={"weights": weights}),
            stacks=STACKS,
            caller=make_caller(),
        ).source("weights")

    assert seen(scoring=True) == ALL_PLACES.weights
    assert seen(scoring=False) is None
