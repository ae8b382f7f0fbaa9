"""detr_resnet_50: prepared, computed and decoded as transformers and the original do; scored as COCO does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cases.test_manifests import manifest
from tests.vendor_hooks.reference.stack import probe

pytestmark = pytest.mark.stack

PROBES = Path(__file__).with_name("probes")
MODEL = manifest("detr_resnet_50").model
PUBLISHED_PARAMETERS, PUBLISHED_MACS = 41e6, 86e9
"""DETR's paper (arXiv 2005.12872), table 1: 41M parameters, 86 GFLOPS, which count a multiply-accumulate once."""


@pytest.fixture(scope="module")
def compared(reference_python: Path, timm: Path) -> dict[str, Any]:
    """Return how the case compares with transformers and with the original's layers."""
    found: dict[str, Any] = probe(reference_python, PROBES / "detr.py", extra=timm)
    return found


@pytest.fixture(scope="module")
def scored(reference_python: Path) -> dict[str, Any]:
    """Return what known detections score."""
    found: dict[str, Any] = probe(reference_python, PROBES / "detr_scores.py")
    return found


def test_macs_and_parameters_are_those_of_the_model(compared: dict[str, Any]) -> None:
    counted = compared["counted"]
    assert (counted["parameters"], counted["macs"]) == (MODEL.parameters, MODEL.macs)


def test_macs_and_parameters_are_those_of_the_paper(compared: dict[str, Any]) -> None:
    """The paper averages over COCO's first hundred pictures, most of which are of 4:3 or 3:2."""
    assert MODEL.parameters == pytest.approx(PUBLISHED_PARAMETERS, rel=0.02)
    narrower, wider = compared["counted"]["published_shapes"]
    assert narrower < PUBLISHED_MACS < wider < 1.13 * narrower


def test_pictures_are_prepared_as_by_the_models_own_processor(compared: dict[str, Any]) -> None:
    assert compared["preprocessing"]["pixels"] <= 1e-6
    assert compared["preprocessing"]["mask"] == 0


def test_the_mask_of_features_is_the_models_for_every_size(compared: dict[str, Any]) -> None:
    assert compared["masks"] == 0


def test_detections_are_those_of_the_models_own_processor(compared: dict[str, Any]) -> None:
    assert compared["postprocessing"]["classes"] == 0
    assert compared["postprocessing"]["difference"] <= 1e-4


@pytest.mark.parametrize("form", ["pth", "no_timm", "main", "transformers"])
def test_outputs_are_the_originals_for_padded_pictures(form: str, compared: dict[str, Any]) -> None:
    """``transformers`` is its own forward, with a mask of pixels, the others are forms of the weights."""
    assert compared["weights"][form] <= 1e-5
    # An output that is all the same would agree with anything.
    assert compared["weights"]["spread"] > 0.01


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("other queries", "num_queries 300 instead of 100"),
        ("dilated", "DETR-DC5"),
        ("cut short", "model.safetensors cannot be read"),
    ],
)
def test_weights_of_another_model_are_refused(
    what: str, message: str, compared: dict[str, Any]
) -> None:
    assert message in compared["weights"]["refused"][what]


def test_the_scorer_is_coco_s_own(scored: dict[str, Any]) -> None:
    assert scored["scorer"].startswith("pycocotools 2.")
    assert scored["categories"] == 80


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("all", {"map": 100.0, "ap50": 100.0, "ap75": 100.0}),
        # Precision is 1 up to a recall of a half: 51 of COCO's 101 places.
        ("one of two", {"map": 50.5, "ap50": 50.5, "ap75": 50.5}),
        # An IoU of 0.714 counts at 5 of 10 bounds, 0.5 to 0.7.
        ("moved", {"map": 50.0, "ap50": 100.0, "ap75": 0.0}),
        ("wrong first", {"map": 50.0, "ap50": 50.0, "ap75": 50.0}),
        ("other category", {"map": 0.0, "ap50": 0.0, "ap75": 0.0}),
        ("other picture", {"map": 0.0, "ap50": 0.0, "ap75": 0.0}),
        # What is found in a crowd counts neither as right nor as wrong.
        ("crowd", {"map": 100.0, "ap50": 100.0, "ap75": 100.0}),
    ],
)
def test_known_detections_score_what_coco_gives_them(
    what: str, expected: dict[str, float], scored: dict[str, Any]
) -> None:
    assert {name: scored[what][name] for name in expected} == expected


def test_figures_by_size_are_there_for_sizes_that_are_there(scored: dict[str, Any]) -> None:
    by_size = {"ap_small": 100.0, "ap_medium": 100.0, "ap_large": 100.0}
    assert {name: scored["all"].get(name) for name in by_size} == by_size
    assert "ap_small" not in scored["moved"]


def test_detections_agree_with_themselves_and_not_with_other_pictures(
    scored: dict[str, Any],
) -> None:
    same, others = scored["agreement"]
    assert same == {"map": 100.0, "ap50": 100.0, "ap75": 100.0}
    assert others["map"] < 10.0


def test_pictures_without_an_object_are_no_accuracy(scored: dict[str, Any]) -> None:
    assert scored["without objects"] == "none of the 1 pictures has an object"


@pytest.mark.slow
def test_synthetic_weights_find_other_objects_in_other_pictures(reference_python: Path) -> None:
    found: dict[str, Any] = probe(reference_python, PROBES / "detr_synthetic.py")
    assert found["classes"] >= 8
    assert found["classes of a picture"] >= 3
    assert 0.2 < found["best score"] < 0.999
    assert found["box spread"] > 0.05
    assert 0.99 <= found["bf16"] < 0.9999999
    assert found["other picture"] < 0.5
    assert found["agreement"]["ap50"] > 50.0
    assert found["first"] == pytest.approx(found["first again"], abs=1e-3)
    assert found["first"] != pytest.approx(found["other seed"], abs=1e-1)
