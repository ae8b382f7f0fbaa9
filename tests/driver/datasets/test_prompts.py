"""Prompts from text files or VizWiz's captions; bad files are refused with the reason."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.catalog.catalog import Case, load_catalog
from driver.datasets.prompts import index_prompts, read_prompts
from driver.errors import DataFault
from driver.models.case import DataSpec
from tests.driver.miniature import make_tree

if TYPE_CHECKING:
    from pathlib import Path

LONG = "x" * 75
CAPTIONS = [f"a thing of number {number}" for number in range(40)]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    tiny = load_catalog(make_tree(tmp_path / "tree")).case("tiny")
    data = DataSpec(dataset="some-prompts", layout="prompts", count=10)
    return Case(manifest=tiny.manifest.model_copy(update={"data": data}), folder=tiny.folder)


def vizwiz(path: Path, captions: list[str]) -> Path:
    entries = [{"caption": text, "image_id": number} for number, text in enumerate(captions)]
    path.write_text(json.dumps({"images": [], "annotations": entries}))
    return path


def lines(path: Path, *texts: str) -> Path:
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def texts_of(source: Path, wanted: int | None = None) -> list[str]:
    return [prompt.text for prompt in read_prompts(source, wanted, default=10, option="PROMPTS")]


def test_the_first_lines_of_a_text_are_taken_in_order(tmp_path: Path) -> None:
    source = lines(tmp_path / "prompts.txt", "one", "", "  two ", "three")
    assert texts_of(source, 2) == ["one", "two"]


def test_a_prompt_is_named_by_its_line(tmp_path: Path) -> None:
    source = lines(tmp_path / "prompts.txt", "one", "", "two")
    assert [prompt.name for prompt in read_prompts(source, None, default=10, option="PROMPTS")] == [
        "prompts.txt:1",
        "prompts.txt:3",
    ]


def test_captions_are_drawn_as_the_published_runs_drew_them(tmp_path: Path) -> None:
    source = vizwiz(tmp_path / "val.json", [LONG, *CAPTIONS, LONG])
    random.seed(0)
    assert texts_of(source) == random.sample(CAPTIONS, 10)


def test_captions_of_75_characters_are_left_out(tmp_path: Path) -> None:
    source = vizwiz(tmp_path / "val.json", [LONG, LONG[:-1]])
    assert texts_of(source) == [LONG[:-1]]


def test_a_short_file_gives_all_its_prompts_unless_more_are_requested(tmp_path: Path) -> None:
    source = lines(tmp_path / "prompts.txt", "one", "two")
    assert texts_of(source) == ["one", "two"]
    with pytest.raises(DataFault, match=r"PROMPTS=3, but .* has only 2"):
        texts_of(source, 3)


@pytest.mark.parametrize("body", [b"", b"\n \n\t\n"])
def test_an_empty_file_is_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "prompts.txt").write_bytes(body)
    with pytest.raises(DataFault, match="contains no prompt"):
        texts_of(tmp_path / "prompts.txt")


def test_text_that_is_not_utf8_is_refused_at_its_first_bad_byte(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(DataFault, match="not UTF-8 text: byte 3 is 0xe9"):
        texts_of(tmp_path / "prompts.txt")


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"annotations": 3}', '{"annotations": [{"text": ""}]}']
)
def test_json_without_captions_is_refused(tmp_path: Path, body: str) -> None:
    (tmp_path / "val.json").write_text(body)
    with pytest.raises(DataFault, match="not a file of VizWiz captions"):
        texts_of(tmp_path / "val.json")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for source in (tmp_path / "nowhere.txt", tmp_path):
        with pytest.raises(DataFault, match="is not a file"):
            texts_of(source)


def read_items(data: Path) -> list[bytes]:
    index: dict[str, Any] = json.loads((data / "index.json").read_text())
    body = (data / index["file"]).read_bytes()
    assert len(body) == index["bytes"]
    return [body[item["offset"] :][: item["length"]] for item in index["items"]]


def test_items_are_the_prompts_and_scoring_sees_them_as_labels(case: Case, tmp_path: Path) -> None:
    source = lines(tmp_path / "prompts.txt", "a café", "two", "three")
    dataset = index_prompts(source, case=case, cache=tmp_path / "cache", limit=2)
    assert [item.decode() for item in read_items(dataset.data)] == ["a café", "two"]
    assert json.loads((dataset.labels / "labels.json").read_text())["labels"] == ["a café", "two"]
    assert dataset.count == 2


@given(left=st.lists(st.text("ab", min_size=1), min_size=1, max_size=4))
def test_other_line_breaks_make_another_dataset(
    left: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    tiny = load_catalog(make_tree(folder / "tree")).case("tiny")
    right = ["".join(left), "c"] if len(left) > 1 else [left[0] + "c"]
    found = [
        index_prompts(
            lines(folder / "prompts.txt", *texts), case=tiny, cache=folder / "cache", wanted=None
        ).sha256
        for texts in (left, right)
    ]
    assert found[0] != found[1]
