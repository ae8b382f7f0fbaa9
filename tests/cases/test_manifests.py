"""case.toml of the classification cases: valid, with sources, and true to the model."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from driver.models.case import CaseManifest
from tests.vendor_hooks.reference.stack import CASES, probe

PROBES = Path(__file__).with_name("probes")
CLASSIFIERS = (
    "vit_digits",
    "vit_l_16",
    "vit_b_32",
    "vit_s_16",
    "regnety_016",
    "resnet_50",
    "swin_b",
)
GMACS = {
    "vit_l_16": 61.555,
    "vit_b_32": 4.409,
    "vit_s_16": 4.599,
    "regnety_016": 1.612,
    "resnet_50": 4.089,
    "swin_b": 15.431,
}
"""Counted independently, by torch's FlopCounterMode on these models of transformers 5.23."""


def manifest(case: str) -> CaseManifest:
    text = (CASES / case / "case.toml").read_text(encoding="utf-8")
    return CaseManifest.model_validate(tomllib.loads(text))


@pytest.fixture(scope="module")
def counted(reference_python: Path) -> dict[str, dict[str, int]]:
    """Return parameters and multiply-accumulates of every classifier, counted on the meta device."""
    found: dict[str, dict[str, int]] = probe(
        reference_python, PROBES / "count_macs.py", *CLASSIFIERS
    )
    return found


@pytest.mark.stack
@pytest.mark.parametrize("case", CLASSIFIERS)
def test_macs_and_parameters_are_those_of_the_model(
    case: str, counted: dict[str, dict[str, int]]
) -> None:
    model = manifest(case).model
    assert counted[case] == {"parameters": model.parameters, "macs": model.macs}


@pytest.mark.parametrize(("case", "gmacs"), GMACS.items())
def test_macs_are_the_known_ones(case: str, gmacs: float) -> None:
    assert round(manifest(case).model.macs / 1e9, 3) == gmacs


def test_the_published_constant_of_vit_l_counts_multiply_accumulates() -> None:
    model = manifest("vit_l_16").model
    assert model.macs_published == 61_600_000_000
    assert model.macs_published == pytest.approx(model.macs, rel=1e-3)


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_every_set_of_preprocessing_constants_names_its_source(case: str) -> None:
    sets = manifest(case).preprocess
    assert "default" in sets
    for constants in sets.values():
        assert {"resize", "interpolation", "mean", "std", "source"} <= set(constants)


def test_vit_l_offers_the_published_and_the_model_cards_constants() -> None:
    sets = manifest("vit_l_16").preprocess
    assert sets["default"]["mean"] == [0.485, 0.456, 0.406]
    assert sets["model_card"]["mean"] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_accuracy_may_fall_one_percent_below_validation(case: str) -> None:
    assert manifest(case).gate.relative_drop == 0.01


def test_short_names_are_not_shared() -> None:
    names: list[Any] = [name for case in CLASSIFIERS for name in (case, *manifest(case).aliases)]
    assert len(names) == len(set(names))


def test_the_regnet_checkpoint_is_known_by_its_md5() -> None:
    (pth,) = (form for form in manifest("regnety_016").weights.formats if form.kind == "pth")
    assert [(file.name, file.md5) for file in pth.files] == [
        ("regnety_016-54367f74.pth", "fb4fc8ffd7cbf1a209d66a5ca621b451")
    ]
