"""llama_7b: MMLU's prompts as the field asks them, questions of any length, weights that stay in 16 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cases.test_manifests import manifest
from tests.vendor_hooks.reference.stack import probe

pytestmark = pytest.mark.stack

PROBE = Path(__file__).with_name("probes") / "llama_7b.py"
EXAMPLE = "What is {}?\nA. one\nB. two, three\nC. four\nD. five\nAnswer:"


@pytest.fixture(scope="module")
def found(reference_python: Path) -> dict[str, Any]:
    printed: dict[str, Any] = probe(reference_python, PROBE)
    return printed


def test_macs_and_parameters_are_those_of_the_model(found: dict[str, Any]) -> None:
    model = manifest("llama_7b").model
    assert found["counted"] == {"parameters": model.parameters, "macs": model.macs}


def test_a_prompt_is_that_of_the_benchmark_with_its_last_examples(found: dict[str, Any]) -> None:
    text, name, answer, count = found["prompts"]
    assert text == (
        "The following are multiple choice questions (with answers) about  a b.\n\n"
        + f"{EXAMPLE.format('dev a_b 3')} B\n\n"
        + f"{EXAMPLE.format('dev a_b 4')} B\n\n"
        + EXAMPLE.format("test a_b 0")
    )
    assert (name, answer, count) == ("a_b question 1", "B", 3)


def test_items_are_the_letters_and_the_prompts_with_the_right_letter_as_label(
    found: dict[str, Any],
) -> None:
    assert found["labels"] == [1, 1, 1]
    assert len(set(found["letters"])) == 4
    assert found["lengths"][0] > 5 * 20


def test_examples_are_left_out_until_a_prompt_fits(found: dict[str, Any]) -> None:
    assert max(found["short"]) <= 60 < min(found["lengths"])
    assert min(found["short"]) > 20


def test_synthetic_prompts_have_different_lengths_up_to_prompt(found: dict[str, Any]) -> None:
    assert set(found["synthetic"]) <= set(range(4, 9))
    assert len(set(found["synthetic"])) > 2


def test_the_best_letter_counts_and_beside_it_the_best_id_of_all(found: dict[str, Any]) -> None:
    scores, log_likelihood = found["scores"]
    assert scores == pytest.approx({"accuracy": 200 / 3, "whole_vocabulary": 100 / 3})
    # A logit of 3 among 31,999 of 0.
    assert log_likelihood == pytest.approx(3 - 10.3741, abs=1e-3)


def test_prompts_of_one_length_are_one_call_without_padding(found: dict[str, Any]) -> None:
    calls, sums, repeated = found["grouped"]
    assert calls == [[2, 3], [1, 5]]
    assert sums == [3 + 4 + 5, 5 + 6 + 7 + 8 + 9, 3 + 4 + 5]
    # Where the core loop needs more tokens, the item follows itself.
    assert repeated == [3, 4, 5, 3, 4, 5, 3]


def test_weights_of_16_bits_compute_what_fp32_ones_do(found: dict[str, Any]) -> None:
    weights = found["weights"]
    assert weights["dtypes"] == ["torch.bfloat16", "torch.float32"]
    same = ("mapped", "saved", "sharded", "fp32")
    assert [weights[name] for name in same] == [0, 0, 0, 0]
    assert weights["usual"] < 1e-5
    assert weights["without_past"] < 0.9


def test_an_engine_s_cast_keeps_the_frequencies_of_positions(found: dict[str, Any]) -> None:
    weights = found["weights"]
    assert weights["half_dtypes"] == ["torch.bfloat16"]
    assert weights["frequencies"] == "torch.float32"
    assert 0.99 < weights["bf16"] < 0.999999


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("other_config", "describes another architecture: num_hidden_layers 2 instead of 3"),
        ("other_tensors", "mlp.down_proj.weight [32, 48] instead of [32, 50]"),
        ("cut_short", "2.safetensors cannot be read"),
        ("missing_shard", "names 2.safetensors, which"),
        ("no_index", "model.safetensors.index.json cannot be read"),
    ],
)
def test_weights_that_are_not_whole_are_named(found: dict[str, Any], what: str, said: str) -> None:
    assert said in found["weights"]["refused"][what]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("other_tokenizer", "tokenizer.json has 2 ids, but the model's vocabulary has 32000"),
        ("no_tokenizer", "tokenizer.json cannot be read"),
        ("synthetic_weights", "synthetic weights have no tokenizer"),
        ("too_long", "a_b question 1 has 36 tokens without any example, more than 10"),
        ("cut_short", "test/c_test.csv line 1 has 5 columns, the last one 'fiv'"),
        ("open_quote", "test/c_test.csv line 1 is cut short"),
        ("fewer", "test/ has 2 questions, not 3: a file is cut short"),
        ("empty_file", "dev/c_dev.csv is empty"),
        ("empty_question", "test/c_test.csv line 1 has an empty question"),
        ("not_utf8", "test/c_test.csv is not UTF-8"),
        ("no_dev", "c is not in both dev/ and test/"),
        ("other_count", "the folder has 2 subjects in dev/ and test/, not 57"),
    ],
)
def test_files_that_are_not_mmlus_are_named(found: dict[str, Any], what: str, said: str) -> None:
    assert said in found["refused"][what]
