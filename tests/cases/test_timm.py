"""The mapped checkpoints compute what timm's own models compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.vendor_hooks.reference.stack import probe

pytestmark = pytest.mark.stack

PROBES = Path(__file__).with_name("probes")
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def compared(reference_python: Path, timm: Path) -> dict[str, Any]:
    """Return differences by case and weights format."""
    found: dict[str, Any] = probe(reference_python, PROBES / "equal_timm.py", extra=timm)
    return found


@pytest.mark.parametrize(
    "what",
    [
        *("vit_b_32 pth", "vit_s_16 pth", "regnety_016 pth", "resnet_50 pth"),
        *("swin_b pth", "swin_b pth of Microsoft's"),
        *("vit_b_32 npz", "vit_s_16 npz"),
    ],
)
def test_outputs_equal_timms_on_the_same_random_state(what: str, compared: dict[str, Any]) -> None:
    found = compared[what]
    assert found["difference"] <= TOLERANCE * max(1.0, found["scale"])
    # An output that is all the same would agree with anything.
    assert found["spread"] > 0.01
