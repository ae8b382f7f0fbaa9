"""The contract of outputs: names, shapes, dtypes, and nothing that is not a number."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness.modules import contract, errors, job


def spec(name: str = "logits", shape: tuple[int, ...] = (3,), **changes: Any) -> Any:
    settings = {"dtype": "float32", "batched": True, "rows_per_item": 1, **changes}
    return job.TensorSpec(name=name, shape=shape, **settings)


def checked(found: Any, *specs: Any, count: int = 2, rows: int = 2) -> Any:
    owner = SimpleNamespace(outputs=list(specs), engine="tensorrt", vendor="nvidia")
    return contract.OutputContract(owner).checked(found, count, rows)


def logits(rows: int = 2, columns: int = 3, dtype: Any = np.float32) -> dict[str, Any]:
    return {"logits": np.zeros((rows, columns), dtype)}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (logits(columns=4), r"has shape \[2, 4\], expected \[2, 3\]"),
        (logits(rows=1), r"has shape \[1, 3\], expected \[2, 3\]"),
        (logits(dtype=np.float64), "has dtype float64, expected float32"),
        (logits(dtype=np.float16), "has dtype float16, expected float32"),
        ({"prob": np.zeros((2, 3))}, r"is missing: the engine returned \['prob'\]"),
        ({"logits": [[0.0] * 3] * 2}, "is a list, not a numpy array"),
        ([np.zeros((2, 3))], "the engine returned list, not a dict"),
        (None, "the engine returned NoneType"),
    ],
)
def test_what_was_not_declared_breaks_the_contract(found: Any, said: str) -> None:
    with pytest.raises(errors.StageFailure, match=said) as caught:
        checked(found, spec())
    assert caught.value.kind == "contract"
    assert "tensorrt" in caught.value.message
    assert caught.value.remedy == (
        "fix engines/tensorrt.py in the vendor's folder, then: make check VENDOR=nvidia"
    )


def test_padding_is_cut_and_undeclared_outputs_are_left_out() -> None:
    found = {**logits(rows=4), "debug": np.zeros(1)}
    kept = checked(found, spec(), count=3, rows=4)
    assert {name: array.shape for name, array in kept.items()} == {"logits": (3, 3)}


def test_two_rows_an_item_and_outputs_without_batch_axis() -> None:
    found = {**logits(rows=8), "step": np.zeros((), np.int64)}
    specs = spec(rows_per_item=2), spec("step", (), dtype="int64", batched=False)
    kept = checked(found, *specs, count=3, rows=4)
    assert {name: array.shape for name, array in kept.items()} == {"logits": (6, 3), "step": ()}


def test_bfloat16_is_handed_over_as_float32() -> None:
    assert checked(logits(), spec(dtype="bfloat16"))["logits"].dtype == np.float32


@given(
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    row=st.integers(0, 4),
    column=st.integers(0, 6),
)
def test_one_value_that_is_no_number_is_found_and_its_item_named(
    dtype: Any, value: float, row: int, column: int
) -> None:
    array = np.ones((5, 7), dtype)
    array[row, column] = value
    with pytest.raises(errors.StageFailure, match=f"first in item id{row}$") as caught:
        contract.require_finite({"logits": array}, [f"id{n}" for n in range(5)])
    assert caught.value.kind == "infer"
    assert "'logits'" in caught.value.message
    assert "1 of 35" in caught.value.message


def test_opposite_infinities_do_not_hide_each_other() -> None:
    array = np.array([[np.inf, -np.inf]], np.float32)
    with pytest.raises(errors.StageFailure, match="Inf"):
        contract.require_finite({"logits": array}, ["a"])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_large_finite_values_are_no_overflow(dtype: Any) -> None:
    contract.require_finite({"logits": np.full((4, 9), np.finfo(dtype).max)}, list("abcd"))


def test_integers_need_no_look() -> None:
    contract.require_finite({"classes": np.zeros((2, 2), np.int64)}, ["a", "b"])


def test_the_item_is_named_where_an_item_has_two_rows() -> None:
    array = np.zeros((4, 2), np.float32)
    array[3, 0] = np.nan
    with pytest.raises(errors.StageFailure, match="item b"):
        contract.require_finite({"noise": array}, ["a", "b"])
