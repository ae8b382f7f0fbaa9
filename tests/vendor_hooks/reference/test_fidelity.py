"""Fidelity: the smallest cosine of an item and the largest difference of a value."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vendor_hooks.reference.stack import HOOK

_SPEC = importlib.util.spec_from_file_location("reference_fidelity", HOOK / "fidelity.py")
assert _SPEC is not None
assert _SPEC.loader is not None
fidelity: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fidelity)


def test_the_worst_item_of_the_worst_output_counts() -> None:
    reference = {"a": np.eye(2), "b": np.ones((2, 3, 4))}
    outputs = {"a": np.array([[1.0, 0.0], [1.0, 1.0]]), "b": np.ones((2, 3, 4)) * 1.5}
    cosine_min, max_abs = fidelity.compare(outputs, reference)
    assert cosine_min == pytest.approx(0.5**0.5)
    assert max_abs == 1.0


def test_rows_of_zeros_agree_with_each_other_only() -> None:
    zero, one = {"a": np.zeros((1, 3))}, {"a": np.ones((1, 3))}
    assert fidelity.compare(zero, zero) == (1.0, 0.0)
    assert fidelity.compare(one, zero) == (0.0, 1.0)


def test_single_numbers_are_compared_as_one_vector_over_the_items() -> None:
    # Each number alone has a cosine of 1 with any other of its sign.
    reference, others = np.array([[0.1], [0.9], [0.5]]), np.array([[0.9], [0.1], [0.5]])
    assert fidelity.compare({"p": reference}, {"p": reference})[0] == pytest.approx(1)
    assert fidelity.compare({"p": others}, {"p": reference})[0] == pytest.approx(0.43 / 1.07)
    assert fidelity.compare({"p": others[:, 0]}, {"p": reference[:, 0]})[0] < 0.5
    assert fidelity.compare({"p": others[:1]}, {"p": reference[:1]})[0] == pytest.approx(1)


@given(st.floats(0.1, 10), st.integers(0, 2**31))
def test_cosine_does_not_see_scale(scale: float, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(3, 5)).astype(np.float32)
    cosine_min, _ = fidelity.compare({"a": rows * scale}, {"a": rows})
    assert cosine_min == pytest.approx(1, abs=1e-6)
