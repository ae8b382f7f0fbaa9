"""Verb data for a layout of the case's own: dataset.py reads the source, or makes synthetic items."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.vendor_hooks.reference.stack import CASES
from tests.vendor_hooks.reference.test_data import draw
from tests.vendor_hooks.reference.test_data_of_tasks import items_of, labels_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.job_folder import Outcome

pytestmark = pytest.mark.stack

WINDOWS = {"window": 384, "stride": 128, "question": 64}
TEXT = "Assay measures chips. " * 150
SQUAD: dict[str, Any] = {
    "version": "1.1",
    "data": [
        {
            "title": "Assay",
            "paragraphs": [
                {
                    "context": TEXT,
                    "qas": [
                        {
                            "id": "a1",
                            "question": "What does Assay measure?",
                            "answers": [{"text": "chips", "answer_start": 15}],
                        }
                    ],
                },
                {
                    "context": "Short: naïve.",
                    "qas": [
                        {
                            "id": "b2",
                            "question": "Long?",
                            "answers": [{"text": "Short"}, {"text": "no"}],
                        }
                    ],
                },
            ],
        }
    ],
}


def read(folder: Path, python: Path, text: str, count: int | None = None) -> Outcome:
    source = folder / "dev.json"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(text, encoding="utf-8")
    return draw(
        folder / "job",
        python,
        case=CASES / "bert_large",
        source=source,
        task="question-answering",
        preprocess=WINDOWS,
        weights="synthetic",
        case_options={"source": {"name": "dev.json", "count": count}},
    )


@pytest.fixture(scope="module")
def squad(reference_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return read(tmp_path_factory.mktemp("squad"), reference_python, json.dumps(SQUAD))


def test_a_long_text_is_cut_into_windows_that_overlap(squad: Outcome) -> None:
    documents = [json.loads(payload) for payload in items_of(squad)]
    starts = [document["start"] for document in documents]
    # 600 tokens with hashed words (". " is one more); 376 fit beside the question.
    assert starts == [0, 128, 256, 0]
    assert documents[0]["context"] == TEXT
    assert documents[-1]["context"] == "Short: naïve."


def test_every_window_has_its_question_as_label_and_no_item_has_an_answer(squad: Outcome) -> None:
    labels = labels_of(squad)
    assert labels["labels"] == [{"id": "a1", "answers": ["chips"]}] * 3 + [
        {"id": "b2", "answers": ["Short", "no"]}
    ]
    assert labels["names"][1] == "question a1, from token 128"
    assert all("answers" not in json.loads(payload) for payload in items_of(squad))


def test_a_limit_takes_the_first_windows(reference_python: Path, tmp_path: Path) -> None:
    assert len(items_of(read(tmp_path, reference_python, json.dumps(SQUAD), count=2))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(SQUAD)[:400], "not whole JSON (cut short?)"),
        (json.dumps({**SQUAD, "version": "v2.0"}), "the file is SQuAD v2.0, not 1.1"),
        ("[]", "it has no version"),
        (json.dumps({"version": "1.1", "data": [{"title": "x"}]}), "'paragraphs' is missing"),
        (json.dumps({"version": "1.1", "data": []}), "it has no items"),
    ],
)
def test_another_file_is_refused(
    text: str, message: str, reference_python: Path, tmp_path: Path
) -> None:
    assert message in read(tmp_path, reference_python, text).failed("data")


def test_synthetic_questions_are_of_squads_size_and_the_same_for_a_seed(
    reference_python: Path, tmp_path: Path
) -> None:
    spec = {"layout": "own", "count": 12, "width": 0, "height": 0, "seed": 5}
    made = [
        draw(
            tmp_path / name,
            reference_python,
            case=CASES / "bert_large",
            task="question-answering",
            preprocess=WINDOWS,
            weights="synthetic",
            case_options={"synthetic": spec},
        )
        for name in ("first", "again")
    ]
    assert items_of(made[0]) == items_of(made[1])
    assert len(set(items_of(made[0]))) == 12
    assert all(20 < len(json.loads(one)["question"]) < 200 for one in items_of(made[0]))
