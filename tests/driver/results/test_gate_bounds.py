"""How far from fp32 raw outputs may be, by the arithmetic that ran."""

from __future__ import annotations

import pytest

from driver.models.case import GateSpec
from driver.results.gate import cosine_bound

SPEC = GateSpec(relative_drop=0.01, fidelity_cosine_min=0.999, reason="a test's")


@pytest.mark.parametrize(
    ("arithmetic", "bound"),
    [("fp32", 0.99999), ("tf32", 0.999), ("bf16", 0.999), ("int8", 0.99), ("fp8", 0.99)],
)
def test_a_bound_belongs_to_the_bits_of_an_arithmetic(arithmetic: str, bound: float) -> None:
    assert cosine_bound(SPEC, arithmetic) == bound


def test_a_case_without_a_bound_has_none_for_eight_bits_either() -> None:
    assert cosine_bound(GateSpec(relative_drop=0.01, reason="a test's"), "int8") is None
