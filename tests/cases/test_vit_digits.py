"""The committed digits: small, complete, and classified as well as the README says."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from driver.datasets.image_folder import list_image_folder
from tests.vendor_hooks.reference.stack import CASES, probe

CASE = CASES / "vit_digits"
PROBES = Path(__file__).with_name("probes")


def test_weights_and_pictures_are_under_two_megabytes() -> None:
    committed = [*(CASE / "weights").rglob("*"), *(CASE / "data").rglob("*")]
    assert sum(path.stat().st_size for path in committed if path.is_file()) < 2_000_000


def test_the_pictures_lie_like_imagenets() -> None:
    files, classes = list_image_folder(CASE / "data", [".png"])
    assert classes == [str(digit) for digit in range(10)]
    assert len(files) == 364
    per_class = [sum(file.label == digit for file in files) for digit in range(10)]
    assert min(per_class) >= 35


def test_the_pictures_are_grey_and_48_pixels_wide() -> None:
    files, _ = list_image_folder(CASE / "data", [".png"])
    headers = {file.path.read_bytes()[16:26] for file in files}
    width, height, depth, colour = struct.unpack(">IIBB", headers.pop())
    assert not headers
    assert (width, height, depth, colour) == (48, 48, 8, 0)


@pytest.mark.stack
def test_the_committed_weights_reach_98_percent(reference_python: Path) -> None:
    found: dict[str, Any] = probe(reference_python, PROBES / "digits_accuracy.py")
    assert found["items"] == 364
    assert found["top1"] == pytest.approx(357 / 364 * 100, abs=0.3)
    assert found["top1"] >= 97
