"""Verb data for layouts without class folders: one repeated picture, and prompts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from driver.datasets.prepared import read_indexed
from tests.harness.modules import dataset
from tests.vendor_hooks.reference.test_data import COUNT, SPEC, draw

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.job_folder import Outcome

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks")


@pytest.fixture(scope="module")
def picture(reference_python: Path, folder: Path) -> Outcome:
    return draw(folder / "picture", reference_python, spec={**SPEC, "layout": "picture"})


@pytest.fixture(scope="module")
def prompts(reference_python: Path, folder: Path) -> Outcome:
    return draw(folder / "prompts", reference_python, spec={**SPEC, "layout": "prompts"})


def items_of(made: Outcome) -> list[bytes]:
    found = dataset.Dataset(made.out / "data")
    payloads = [found.read(position) for position in range(len(found))]
    found.close()
    return payloads


def labels_of(made: Outcome) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        (made.out / "labels" / "labels.json").read_text(encoding="utf-8")
    )
    return document


def test_a_picture_is_written_once_and_given_as_often_as_asked(picture: Outcome) -> None:
    payloads = items_of(picture)
    assert len(payloads) == read_indexed(picture.out, cached=False).count == COUNT
    assert len(set(payloads)) == 1
    assert payloads[0].startswith(b"\xff\xd8\xff")
    assert (picture.out / "data" / "items.bin").stat().st_size == len(payloads[0])
    assert len(labels_of(picture)["labels"]) == COUNT


def test_prompts_are_sentences_that_scoring_sees_too(prompts: Outcome) -> None:
    texts = [payload.decode("utf-8") for payload in items_of(prompts)]
    assert labels_of(prompts)["labels"] == texts
    assert len(set(texts)) > COUNT // 2
    assert all(20 < len(text) < 75 for text in texts)


def test_another_seed_makes_other_prompts(
    prompts: Outcome, reference_python: Path, folder: Path
) -> None:
    spec = {**SPEC, "layout": "prompts", "seed": SPEC["seed"] + 1}
    other = draw(folder / "other", reference_python, spec=spec)
    assert items_of(other) != items_of(prompts)
