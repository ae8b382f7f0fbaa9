"""dlrm_kaggle: upstream's network and preprocessing, MLPerf's AUC, and a gate that notices an ignored input."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.models.report import Fidelity
from driver.models.result import Metrics
from driver.results.gate import apply_gate
from driver.results.roofline import weights_read
from driver.results.warnings import implausible_reads
from tests.cases.test_manifests import manifest
from tests.vendor_hooks.reference.stack import CASES, probe

PROBES = Path(__file__).with_name("probes")
CASE = manifest("dlrm_kaggle")

_SPEC = importlib.util.spec_from_file_location("dlrm_auc", CASES / "dlrm_kaggle" / "auc.py")
assert _SPEC is not None
assert _SPEC.loader is not None
auc: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(auc)


@pytest.fixture(scope="module")
def network(reference_python: Path) -> dict[str, Any]:
    found: dict[str, Any] = probe(reference_python, PROBES / "dlrm_kaggle.py")
    return found


@pytest.fixture(scope="module")
def dataset(reference_python: Path) -> dict[str, Any]:
    found: dict[str, Any] = probe(reference_python, PROBES / "criteo_kaggle.py")
    return found


@pytest.mark.stack
def test_macs_parameters_and_lookups_are_those_of_the_model(network: dict[str, Any]) -> None:
    model = CASE.model
    assert model.lookups is not None
    assert network["counted"] == {
        "parameters": model.parameters,
        "macs": model.macs,
        "lookups": model.lookups.model_dump(),
    }


@pytest.mark.stack
def test_the_network_computes_what_upstreams_does_with_its_weights(network: dict[str, Any]) -> None:
    assert network["upstream"] < 1e-6
    tables = [f"emb_l.{number}.weight" for number in range(26)]
    layers = [("bot_l", (0, 2, 4, 6)), ("top_l", (0, 2, 4))]
    mlps = [
        f"{name}.{number}.{part}"
        for name, numbers in layers
        for number in numbers
        for part in ("weight", "bias")
    ]
    assert network["names"] == sorted(tables + mlps)


@pytest.mark.stack
def test_a_checkpoint_is_read_by_name_and_what_the_export_saves_again(
    network: dict[str, Any],
) -> None:
    assert network["loaded"]["pth"] == network["loaded"]["saved"] == 0
    assert network["loaded"]["refused"] == (
        "model.pth has the weights of another architecture: 1 missing: top_l.4.bias; 1 unexpected: "
        "extra; 1 with another shape: emb_l.2.weight [7, 16] instead of [202, 16]"
    )


@pytest.mark.stack
def test_synthetic_weights_are_those_of_the_seed_and_spread_the_probabilities(
    network: dict[str, Any],
) -> None:
    assert network["same_seed"]
    assert not network["other_seed"]
    assert network["spread"] > 0.2
    assert 0.3 < network["mean"] < 0.7
    assert network["inputs"] == [["torch.float32", [256, 13]], ["torch.int64", [256, 26]]]


@pytest.mark.stack
@pytest.mark.parametrize("opset", ["11", "13"])
def test_older_opsets_compute_the_same_with_operators_that_they_have(
    opset: str, network: dict[str, Any]
) -> None:
    difference, operators = network["older"][opset]
    assert difference < 1e-6
    plain = {"Concat", "Constant", "Flatten", "Gather", "Gemm", "MatMul", "Relu", "Reshape"}
    assert set(operators) <= plain | {"Sigmoid", "Transpose", "Unsqueeze"}


def gate(cosine: float, arithmetic: str, **figures: Any) -> bool | None:
    fidelity = Fidelity(items=256, cosine_min=cosine, max_abs=0.5)
    metrics = Metrics(acc_metric="auc", acc_kind="agreement", fidelity=fidelity, **figures)
    return apply_gate(CASE, metrics, arithmetic).passed


@pytest.mark.stack
@pytest.mark.parametrize("arithmetic", ["fp32", "bf16"])
@pytest.mark.parametrize("ignored", ["dense", "sparse", *(f"table {n}" for n in range(1, 27))])
def test_an_engine_that_ignores_an_input_fails_the_gate(
    ignored: str, arithmetic: str, network: dict[str, Any]
) -> None:
    assert gate(network["cosines"][ignored], arithmetic) is False


@pytest.mark.stack
def test_bf16_passes_as_bf16_and_fails_as_fp32(network: dict[str, Any]) -> None:
    assert gate(network["cosines"]["bf16"], "bf16") is True
    assert gate(network["cosines"]["bf16"], "fp32") is False


@pytest.mark.stack
def test_the_test_set_is_upstreams(dataset: dict[str, Any]) -> None:
    # 400 lines are a day of 58 and six of 57; the larger half of the last one is the test set.
    assert dataset["samples"] == 29
    assert dataset["equal"]
    assert dataset["names"] == ["line 344", "line 372"]
    assert dataset["other_blocks"]
    assert dataset["without_last_newline"]
    begin, behind = dataset["test_lines"]
    assert (begin, behind - begin) == (39_291_959, CASE.data.count)


@pytest.mark.stack
def test_counts_are_given_as_logarithms_and_rows_as_they_are(dataset: dict[str, Any]) -> None:
    assert dataset["dense"]
    assert dataset["sparse"]


@pytest.mark.stack
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("not whole", "columns, not 40 (cut short?)"),
        (
            "whole lines, too few",
            "the file has 360 lines, the challenge's train.txt has 400: it was",
        ),
        ("too many", "the file has 401 lines, the challenge's train.txt has 400: it is another"),
        ("a column more", "line 300 has 41 columns, not 40"),
        ("an empty line", "line 2 has 1 columns, not 40"),
        ("no labels", "line 1 has 39 columns, not 40: test.txt has no labels"),
        ("label", "line 12, column 1: '2' is not a label, 0 or 1"),
        ("no label", "line 12, column 1: '' is not a label"),
        ("count", "line 13, column 5: '1.5' is not a count"),
        ("count without digits", "line 13, column 5: '-' is not a count"),
        ("long count", "line 13, column 5: '9999999999' is not a count"),
        ("category", "line 399, column 20: '68fd1e6g' is not a category of hexadecimal digits"),
        ("long category", "line 399, column 20: '168fd1e64' is not a category"),
        ("beyond the table", "column 23: value 4 of category 9, whose table has 3 rows"),
        ("gzip", "the file is compressed"),
        ("no lines", "line 1 has more than 65536 bytes"),
        ("empty", "the file has 0 lines"),
        ("another name", "the folder has no train.txt"),
    ],
)
def test_another_file_is_refused_and_the_line_is_named(
    name: str, says: str, dataset: dict[str, Any]
) -> None:
    kind, message, remedy = dataset["broken"][name]
    assert kind == "data"
    assert says in message
    assert "DATA=" in remedy or "tar -xzf" in remedy


@pytest.mark.stack
def test_the_line_of_the_value_beyond_the_table_is_the_one_that_has_it(
    dataset: dict[str, Any],
) -> None:
    assert dataset["broken"]["beyond the table"][1].startswith("line 200, ")


@pytest.mark.stack
def test_generated_samples_look_up_few_rows_often_and_many_once(dataset: dict[str, Any]) -> None:
    made = dataset["synthetic"]
    assert (made["count"], made["prefix"]) == (5000, True)
    assert made["clicks"] == pytest.approx(0.256, abs=0.03)
    assert (made["least"], made["inside"]) == (0, True)
    # Half of the lookups of ten million rows go to a thousandth of them, and yet there are thousands of others.
    assert made["half_of_lookups_in"] < 1e-3
    assert made["distinct"] > 2000
    assert made["reaches"][8] == 2
    assert made["reaches"][2] > 5_000_000
    assert (made["least_count"], made["largest_count"] > 100) == (0, True)
    assert 0.3 < made["zero_counts"] < 0.6


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40),
)
def test_the_auc_is_the_share_of_pairs_in_order_and_a_tie_is_half(
    samples: list[tuple[bool, int]],
) -> None:
    positive = np.array([click for click, _ in samples])
    scores = np.array([score / 7 for _, score in samples])
    pairs = [
        1.0 if above > below else 0.5 if above == below else 0.0
        for above in scores[positive]
        for below in scores[~positive]
    ]
    found = auc.area_under_roc(positive, scores)
    assert found == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)
    if pairs:
        assert auc.same_order(scores, positive.astype(float)) == pytest.approx(found)


def test_the_order_of_pairs_that_fp32_does_not_order_says_nothing() -> None:
    assert auc.same_order(np.array([0.1, 0.9]), np.array([0.5, 0.5])) == 1.0
    expected = np.array([0.1, 0.2, 0.2])
    assert auc.same_order(np.array([0.1, 0.3, 0.2]), expected) == 1.0
    assert auc.same_order(np.array([0.2, 0.2, 0.1]), expected) == 0.25


def test_the_log_loss_is_finite_and_that_of_the_challenge() -> None:
    clicked = np.array([True, False])
    assert auc.log_loss(clicked, np.array([0.8, 0.4])) == pytest.approx(
        -(np.log(0.8) + np.log(0.6)) / 2
    )
    assert auc.log_loss(clicked, np.array([0.0, 1.0])) == pytest.approx(-np.log(auc.CLOSEST))


def test_the_tables_are_most_of_the_model() -> None:
    assert CASE.model.lookups is not None
    assert CASE.model.lookups.parameters == 33_762_577 * 16
    assert CASE.model.lookups.elements == 26 * 16


def test_a_rate_that_memory_gives_is_not_struck_out() -> None:
    # Four million samples a second in calls of 2,048: the tables would be 4 TB/s, more than an H100's memory gives.
    calls_per_s, bandwidth = 4e6 / 2048, 3.35e12
    assert implausible_reads(calls_per_s, 1, 4 * CASE.model.parameters, bandwidth) is not None
    read = 4 * weights_read(CASE.model, generates=False)
    assert implausible_reads(calls_per_s, 1, read, bandwidth) is None
