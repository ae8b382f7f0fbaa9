"""The cases of generation: steps are the model's own, the past counts, a tokenizer of another model is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cases.test_manifests import manifest
from tests.vendor_hooks.reference.stack import probe

pytestmark = pytest.mark.stack

PROBE = Path(__file__).with_name("probes") / "language_models.py"


@pytest.fixture(scope="module")
def found(reference_python: Path) -> dict[str, Any]:
    printed: dict[str, Any] = probe(reference_python, PROBE)
    return printed


@pytest.mark.parametrize("case", ["llama_pydoc", "smollm2_135m"])
def test_macs_and_parameters_are_those_of_the_model(found: dict[str, Any], case: str) -> None:
    model = manifest(case).model
    assert found["counted"][case] == {"parameters": model.parameters, "macs": model.macs}


def test_steps_give_the_logits_of_the_whole_sequence(found: dict[str, Any]) -> None:
    assert found["steps_apart"] < 1e-4


def test_the_trained_model_predicts_its_text(found: dict[str, Any]) -> None:
    # 8 bits without any knowledge; the README has the exact figure.
    assert found["bits_per_byte"] < 2.5


def test_with_synthetic_weights_the_past_decides_too(found: dict[str, Any]) -> None:
    # Cosine of the logits of the last token with and without the tokens before it.
    assert found["without_past"] < 0.9


def test_windows_are_the_texts_tokens_with_the_bytes_that_count(found: dict[str, Any]) -> None:
    assert found["windows"] == [["the cat ", "sat é o"], [4, 4]]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("other_tokenizer", "tokenizer.json has 12 ids, but the model's vocabulary has 49152"),
        ("no_tokenizer", "tokenizer.json cannot be read"),
        ("synthetic_weights", "synthetic weights have no tokenizer"),
        ("not_utf8", "the text is not UTF-8"),
        ("empty", "the text is empty"),
        ("short", "the text has 5 tokens, fewer than a prompt of 4 and its 4"),
        ("two_files", "the folder has 2 .txt files, not one"),
    ],
)
def test_a_text_or_tokenizer_that_does_not_fit_is_named(
    found: dict[str, Any], what: str, said: str
) -> None:
    assert said in found["refused"][what]
