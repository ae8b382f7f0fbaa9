"""sam_h: prepared, upscaled and built as transformers does; scored by known masks; bad masks refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from driver.results.gate import gate_accuracy
from tests.cases.test_manifests import manifest
from tests.vendor_hooks.reference.stack import probe

PROBES = Path(__file__).with_name("probes")
CASE = manifest("sam_h")


@pytest.fixture(scope="module")
def compared(reference_python: Path) -> dict[str, Any]:
    """Return how the case compares with transformers, full size but for the encoder's depth."""
    found: dict[str, Any] = probe(reference_python, PROBES / "sam.py")
    return found


@pytest.fixture(scope="module")
def scored(reference_python: Path) -> dict[str, Any]:
    """Return what known masks score."""
    found: dict[str, Any] = probe(reference_python, PROBES / "sam_masks.py")
    return found


@pytest.mark.stack
def test_macs_and_parameters_are_those_of_the_model(reference_python: Path) -> None:
    counted = probe(reference_python, PROBES / "count_macs.py", "sam_h")
    assert counted["sam_h"] == {"parameters": CASE.model.parameters, "macs": CASE.model.macs}


def test_the_published_constant_is_4_per_cent_above_the_count() -> None:
    assert CASE.model.macs_published == 3.1e12
    assert CASE.model.macs_published / CASE.model.macs == pytest.approx(1.039, abs=1e-3)


@pytest.mark.parametrize(
    ("published", "passes"), [((0.89, 1.0), False), ((1.0, 1.0), True), ((0.995, 1.0), True)]
)
def test_the_gate_flags_the_published_fp16_row(
    published: tuple[float, float], passes: bool
) -> None:
    assert gate_accuracy(CASE.gate, CASE.metric, *published).passed is passes


@pytest.mark.stack
def test_pictures_and_points_are_prepared_as_by_the_models_own_processor(
    compared: dict[str, Any],
) -> None:
    pixels, points = compared["pixels_points"]
    assert pixels <= 1e-6
    assert points <= 1e-4


@pytest.mark.stack
def test_masks_are_upscaled_as_by_the_models_own_processor(compared: dict[str, Any]) -> None:
    assert compared["upscaling"] == 0


@pytest.mark.stack
def test_the_module_gives_what_the_library_gives_for_a_point_of_the_object(
    compared: dict[str, Any],
) -> None:
    assert compared["module"]["difference"] <= 1e-6
    assert compared["module"]["shapes"] == [[1, 1, 3], [1, 1, 3, 256, 256]]


@pytest.mark.stack
def test_synthetic_weights_tell_a_true_difference_of_bf16(compared: dict[str, Any]) -> None:
    module = compared["module"]
    assert 0.998 <= module["bf16_cosine"] < 0.9999999
    assert module["other_picture_cosine"] < 0.9
    assert 0.2 < module["positive"] < 0.8
    assert module["embedding_std"] == pytest.approx(1, abs=0.2)


@pytest.mark.stack
def test_a_saved_folder_is_the_same_model_and_another_architecture_is_refused(
    compared: dict[str, Any],
) -> None:
    same, kind, message = compared["saved"]
    assert same is True
    assert kind == "data"
    assert "hidden_size 96 instead of 1280" in message


@pytest.mark.stack
def test_equal_masks_agree_wholly(scored: dict[str, Any]) -> None:
    assert set(scored["exact"].values()) == {1.0}
    assert set(scored["exact"]) == {CASE.metric.name, *CASE.metric.also}


@pytest.mark.stack
def test_a_mask_of_half_the_side_scores_a_quarter_and_is_named_by_its_size(
    scored: dict[str, Any],
) -> None:
    half = scored["half"]
    assert (half["iou_0"], half["iou_2"]) == (1.0, 1.0)
    assert half["iou_1"] == pytest.approx(0.25, abs=1e-3)
    # Three quarters of a 256 x 256 square, in one of three masks of 1024 x 768.
    expected = 1 - 0.75 * 256**2 / (1024 * 768) / 3
    assert half["mask_agreement"] == pytest.approx(expected, abs=1e-4)
    assert scored["agree"] == half


@pytest.mark.stack
def test_every_item_counts(scored: dict[str, Any]) -> None:
    for name, value in scored["mixed"].items():
        assert value == pytest.approx((1 + scored["half"][name]) / 2)


@pytest.mark.stack
def test_two_empty_masks_agree(scored: dict[str, Any]) -> None:
    assert set(scored["empty"].values()) == {1.0}


@pytest.mark.stack
def test_golden_masks_are_written_small_to_large(scored: dict[str, Any]) -> None:
    areas = [scored["pictures"][f"sam_gt_{number}.png"][2] for number in range(3)]
    assert areas == sorted(areas)
    assert len(set(areas)) == 3
    assert scored["pictures"]["sam_gt_0.png"][:2] == [1024, 768]


@pytest.mark.stack
@pytest.mark.parametrize("suffix", [".pt", ".npy", ".png"])
def test_the_users_golden_masks_count_in_every_form(scored: dict[str, Any], suffix: str) -> None:
    assert set(scored["forms"][suffix].values()) == {1.0}


@pytest.mark.stack
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("size", "sam_gt_1.npy is 767 x 1024 (height x width), but the picture is 768 x 1024"),
        ("unreadable", "sam_gt_1.npy cannot be read"),
        ("missing", "missing: sam_gt_1"),
    ],
)
def test_a_bad_golden_mask_is_refused(scored: dict[str, Any], fault: str, said: str) -> None:
    kind, message = scored["bad"][fault]
    assert kind == "data"
    assert said in message


@pytest.mark.stack
def test_a_point_outside_the_picture_and_a_picture_that_is_none_are_refused(
    scored: dict[str, Any],
) -> None:
    assert scored["outside"][0] == "data"
    assert "[450, 600] is outside the picture, which is 400 x 300" in scored["outside"][1]
    assert scored["no_image"][0] == "not an image"
