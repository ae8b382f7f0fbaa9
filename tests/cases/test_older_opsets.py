"""SAM, Stable Diffusion and DETR in the opsets that older SDKs read: atc 11, XTCL 13, TensorRT 8.5 16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.vendor_hooks.reference.stack import probe

PROBE = Path(__file__).with_name("probes") / "older_opsets.py"
pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def exported(reference_python: Path) -> dict[str, Any]:
    """Return how small models of these cases differ from torch, by opset, at batch 1 and 3."""
    found: dict[str, Any] = probe(reference_python, PROBE)
    return found


@pytest.mark.parametrize("opset", ["11", "13", "16"])
@pytest.mark.parametrize("model", ["sam", "unet", "detr"])
def test_a_graph_of_an_older_opset_computes_what_torch_does(
    exported: dict[str, Any], model: str, opset: str
) -> None:
    assert exported["differences"][model][opset] <= 1e-4


def test_torch_is_as_it_was_after_an_export(exported: dict[str, Any]) -> None:
    assert exported["restored"] is True


def test_no_product_of_attention_becomes_a_constant(exported: dict[str, Any]) -> None:
    # At full size each would be a gigabyte: 16 heads' products of 4096 with 4096 places.
    assert exported["unet_constant_bytes"] <= 10_000


def test_attention_spelled_out_is_the_librarys(exported: dict[str, Any]) -> None:
    assert exported["unet_attention"] <= 1e-5


def test_detr_needs_no_operator_that_older_parsers_lack(exported: dict[str, Any]) -> None:
    # transformers' own mask and positions bring these.
    lacking = {"CumSum", "GatherND", "IsNaN", "Range", "Resize"}
    assert "Conv" in exported["detr_operators"]
    assert lacking.isdisjoint(exported["detr_operators"])
