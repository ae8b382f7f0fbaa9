"""Two ways to resize, the same bits: which one is chosen, and what it leaves of memory."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from tests.harness.modules import picture_tensor, preprocessing

CONSTANTS = {
    "resize": 248,
    "crop": 224,
    "interpolation": "bicubic",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


def picture(height: int = 375, width: int = 500) -> Any:
    return np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def made(resampling: str, **changes: Any) -> Any:
    tensor = picture_tensor.PictureTensor({**CONSTANTS, **changes})
    tensor.resampling = resampling
    return tensor


WAYS = [picture_tensor.PILLOW, picture_tensor.PRODUCTS]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("shape", [(375, 500), (500, 375), (224, 224), (900, 31), (31, 900)])
def test_both_ways_give_the_table_s_bits(
    way: str, interpolation: str, shape: tuple[int, int]
) -> None:
    from PIL import Image

    pixels = picture(*shape)
    resized = preprocessing.resized(Image.fromarray(pixels), 248, interpolation)
    cropped = np.asarray(preprocessing.centre_cropped(resized, 224))
    table = preprocessing.normalisation_table(CONSTANTS["mean"], CONSTANTS["std"])
    expected = np.stack([table[channel][cropped[:, :, channel]] for channel in range(3)])
    found = made(way, interpolation=interpolation).fresh(pixels)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_products_are_chosen_where_they_are_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    for nanoseconds, expected in (([1, 2], WAYS[1]), ([2, 1], WAYS[0])):
        times = iter(nanoseconds)
        monkeypatch.setattr(
            picture_tensor.PictureTensor, "_quickest_ns", staticmethod(lambda *_, t=times: next(t))
        )
        tensor = made(picture_tensor.PILLOW)
        tensor.choose(picture())
        assert tensor.resampling == expected


def test_waiting_for_a_processor_decides_nothing() -> None:
    # By the wall, a busy machine took Pillow for the faster one now and then, and kept it.
    quickest = picture_tensor.PictureTensor._quickest_ns
    assert quickest(lambda *_: time.sleep(0.02), picture(), picture()) < 10_000_000


def test_other_bits_than_pillow_s_are_never_used(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    products = picture_tensor.resampled

    def wrong_in_one_bit(pixels: Any, crop: Any, interpolation: str, out: Any, *rest: Any) -> Any:
        done = products(pixels, crop, interpolation, out, *rest)
        out[2, 100, 100] += 1
        return done

    monkeypatch.setattr(picture_tensor, "resampled", wrong_in_one_bit)
    monkeypatch.setattr(
        picture_tensor.PictureTensor,
        "_quickest_ns",
        staticmethod(lambda write, *_: len(str(write))),
    )
    tensor = made(picture_tensor.PILLOW)
    tensor.choose(picture())
    assert tensor.resampling == picture_tensor.PILLOW
    assert "unlike Pillow" in capfd.readouterr().err


def test_it_chooses_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = made(picture_tensor.PILLOW)
    tensor.choose(picture())
    monkeypatch.setattr(tensor, "fresh", lambda _: pytest.fail("chosen again"))
    tensor.choose(picture())


def test_a_second_picture_allocates_nothing_of_its_size() -> None:
    tensor, out, pixels = (
        made(picture_tensor.PRODUCTS),
        np.empty((3, 224, 224), np.float32),
        picture(),
    )
    tensor.write(pixels, out)
    tracemalloc.start()
    try:
        tensor.write(pixels, out)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 50_000
