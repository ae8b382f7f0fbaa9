"""Synthetic weights answer: pictures decide the class, and bf16 tells a true, small difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.vendor_hooks.reference.stack import probe

pytestmark = pytest.mark.stack

PROBES = Path(__file__).with_name("probes")


@pytest.mark.parametrize(
    "case",
    [
        "regnety_016",
        pytest.param("vit_b_32", marks=pytest.mark.slow),
        pytest.param("vit_s_16", marks=pytest.mark.slow),
        pytest.param("resnet_50", marks=pytest.mark.slow),
        pytest.param("swin_b", marks=pytest.mark.slow),
    ],
)
def test_bf16_differs_from_fp32_a_little_and_many_classes_win(
    case: str, reference_python: Path
) -> None:
    found: dict[str, Any] = probe(reference_python, PROBES / "synthetic_agreement.py", case)
    assert found["classes"] >= 6
    assert found["agreement"] >= 0.9
    assert 0.998 <= found["cosine_min"] < 0.9999999
    assert found["first"] == pytest.approx(found["first_again"], abs=1e-4)
    assert found["first"] != pytest.approx(found["first_other_seed"], abs=1e-2)
