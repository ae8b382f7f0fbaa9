"""bert_large: tokens and windows are the published tokenizer's, scores SQuAD's, the count the model's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cases.test_manifests import manifest
from tests.vendor_hooks.reference.stack import probe

pytestmark = pytest.mark.stack

PROBES = Path(__file__).with_name("probes")


@pytest.fixture(scope="module")
def compared(reference_python: Path) -> dict[str, Any]:
    found: dict[str, Any] = probe(reference_python, PROBES / "bert_large.py")
    return found


def test_macs_and_parameters_are_those_of_the_model(compared: dict[str, Any]) -> None:
    model = manifest("bert_large").model
    assert compared["counted"] == {"parameters": model.parameters, "macs": model.macs}


def test_lookups_are_the_table_of_words() -> None:
    model = manifest("bert_large").model
    (window,) = model.inputs[0].shape
    assert model.lookups is not None
    assert model.lookups.model_dump() == {"parameters": 30_522 * 1024, "elements": window * 1024}


def test_tokens_and_their_places_are_those_of_the_published_tokenizer(
    compared: dict[str, Any],
) -> None:
    assert compared["differing"] == []


def test_windows_are_those_of_the_published_tokenizer(compared: dict[str, Any]) -> None:
    windows = compared["windows"]
    assert windows["wrong"] == []
    assert windows["ours"] == windows["theirs"] > 5


def test_scores_are_squads(compared: dict[str, Any]) -> None:
    # (exact match, F1): case, article and punctuation do not count; an empty answer shares no word.
    assert compared["scores"] == [[1, 1], [1, 1], [1, 0], [0, 0.6667], [0, 0]]


def test_an_answer_ends_behind_its_begin(compared: dict[str, Any]) -> None:
    # The best begin (7) and the best end (5) do not fit together: 3 to 5 is better than 7 to 9.
    assert compared["span"] == [[3, 5], 5.9]


def test_a_vocabulary_of_another_model_is_named(compared: dict[str, Any]) -> None:
    assert "30521 pieces, but the model's embedding has 30522" in compared["short"]
    assert "[PAD] at 1, not at 0" in compared["moved"]
