"""Resizing by matrix products gives Pillow's bits, for every size, crop and filter that it takes."""

from __future__ import annotations

import subprocess
import textwrap
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from tests.harness.interpreters import python37
from tests.harness.job_folder import ROOT
from tests.harness.modules import resampling, scratch
from tests.waiting import PATIENCE_S

Crop = resampling.Crop


def untouched(channel: int, plane: Any) -> None:
    """Leave the plane as it is."""


def by_pillow(pixels: Any, crop: Any, interpolation: str) -> Any:
    height, width = crop.resized
    filter_ = getattr(Image.Resampling, interpolation.upper())
    box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
    picture = Image.fromarray(pixels).resize((width, height), filter_).crop(box)
    return np.asarray(picture).transpose(2, 0, 1)


def by_products(pixels: Any, crop: Any, interpolation: str, memory: Any = None) -> Any:
    out = np.full((3, crop.height, crop.width), np.nan, np.float32)
    assert resampling.resampled(
        pixels, crop, interpolation, out, memory or scratch.Scratch(), untouched
    )
    return out


def picture(height: int, width: int, seed: int, levels: int = 256) -> Any:
    random = np.random.default_rng(seed)
    found = random.integers(0, levels, (height, width, 3), dtype=np.uint8)
    return found * (255 // (levels - 1)) if seed % 2 else found


@st.composite
def crops(draw: st.DrawFn) -> Any:
    height, width = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Crop(
        (height, width),
        top,
        left,
        draw(st.integers(1, height - top)),
        draw(st.integers(1, width - left)),
    )


def rows_first(shape: tuple[int, int], crop: Any) -> bool:
    """Return whether a version of Pillow resizes the rows first."""
    shrunk, narrowed = shape[0] - crop.resized[0], shape[1] - crop.resized[1]
    return shrunk > 0 and (shrunk > 2 * narrowed or shape[0] > 100 * shape[1])


# One for all examples: what an earlier picture left in it must not show in a later one.
MEMORY = scratch.Scratch()


@given(
    crops(),
    st.tuples(st.integers(1, 500), st.integers(1, 500)),
    st.sampled_from(sorted(resampling.FILTERS)),
    st.integers(0, 99),
    st.sampled_from([2, 256]),
)
def test_every_bit_is_pillow_s(
    crop: Any, shape: tuple[int, int], interpolation: str, seed: int, levels: int
) -> None:
    assume(not rows_first(shape, crop))
    pixels = picture(*shape, seed, levels)
    found = by_products(pixels, crop, interpolation, MEMORY)
    np.testing.assert_array_equal(found, by_pillow(pixels, crop, interpolation))


@pytest.mark.parametrize("interpolation", sorted(resampling.FILTERS))
@pytest.mark.parametrize("shape", [(375, 500), (500, 480), (1200, 1600), (64, 64), (240, 31)])
def test_sizes_of_photographs_too(shape: tuple[int, int], interpolation: str) -> None:
    pixels, crop = picture(*shape, 7), Crop((248, 330), 12, 53, 224, 224)
    found = by_products(pixels, crop, interpolation)
    np.testing.assert_array_equal(found, by_pillow(pixels, crop, interpolation))


def test_a_half_is_rounded_up_though_the_nearest_even_is_below() -> None:
    # Two pixels of equal weight, 0 and 1, 2 and 3: sums of 0.5 and 2.5.
    pixels = np.zeros((1, 4, 3), np.uint8)
    pixels[0, 1::2], pixels[0, 2:] = 1, 2
    pixels[0, 3] = 3
    found = by_products(pixels, Crop((1, 2), 0, 0, 1, 2), "bilinear")
    expected = by_pillow(pixels, Crop((1, 2), 0, 0, 1, 2), "bilinear")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", range(4))
def test_many_halves(seed: int) -> None:
    pixels, crop = picture(512, 512, 2 * seed, 4), Crop((512, 256), 0, 0, 512, 256)
    found = by_products(pixels, crop, "bilinear")
    np.testing.assert_array_equal(found, by_pillow(pixels, crop, "bilinear"))


def test_what_it_cannot_do_is_left_to_pillow_untouched() -> None:
    pixels, out = picture(20, 20, 1), np.full((3, 8, 8), -1, np.float32)
    crop, memory = Crop((10, 10), 1, 1, 8, 8), scratch.Scratch()
    for other, interpolation in ((crop, "lanczos"), (crop._replace(top=-1), "bicubic")):
        assert not resampling.resampled(pixels, other, interpolation, out, memory, untouched)
    line = np.zeros((1, 200_000, 3), np.uint8)
    assert not resampling.resampled(
        line, Crop((1, 1), 0, 0, 1, 1), "bicubic", out[:, :1, :1], memory, untouched
    )
    assert (out == -1).all()


@pytest.mark.parametrize("shape", [(500, 333), (800, 300), (3000, 40), (400, 3)])
def test_a_picture_whose_rows_pillow_13_resizes_first_is_left_to_it(shape: tuple[int, int]) -> None:
    out, memory = np.empty((3, 224, 224), np.float32), scratch.Scratch()
    crop = Crop((248, 330), 12, 53, 224, 224)
    assert not resampling.resampled(picture(*shape, 1), crop, "bicubic", out, memory, untouched)


@pytest.mark.parametrize("shape", [(375, 500), (40, 30), (2400, 3000), (5000, 6000)])
def test_no_product_wakes_the_threads_of_a_blas(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def spied(left: Any, right: Any, out: Any) -> Any:
        sizes.append(left.shape[-2] * left.shape[-1] * right.shape[-1])
        return out

    monkeypatch.setattr(resampling.np, "matmul", spied)
    by_products(np.zeros((*shape, 3), np.uint8), Crop((248, 330), 12, 53, 224, 224), "bicubic")
    assert sizes
    assert max(sizes) <= 65536 * 4


@pytest.mark.parametrize("inputs", [224, 375, 480, 500, 640, 768, 1536, 2048])
def test_a_matrix_is_hardly_wider_than_its_outputs_need(inputs: int) -> None:
    # Equal steps that are off by a part of an input add up over 28 matrices: up to 14 inputs.
    weights, starts = resampling._weights(inputs, 330, "bicubic", 53, 224)
    needed = max(starts[n : n + 8].max() - starts[n] for n in range(0, 224, 8)) + weights.shape[1]
    assert resampling._blocked(weights, starts, 8).width <= needed + 3


@pytest.mark.py37
def test_the_oldest_python_numpy_and_pillow_agree_too() -> None:
    python, reason = python37()
    if python is None:
        pytest.skip(reason)
    program = textwrap.dedent("""
        import numpy as np
        from PIL import Image
        from harness.inputs.scratch import Scratch
        from harness.tasks.resampling import Crop, resampled

        memory = Scratch()
        for seed, shape in enumerate([(375, 500), (500, 480), (48, 64), (240, 31)]):
            pixels = np.random.RandomState(seed).randint(0, 256, shape + (3,)).astype(np.uint8)
            for name, crop in (("bicubic", Crop((248, 330), 12, 53, 224, 224)), ("bilinear", Crop((256, 256), 0, 0, 256, 256))):
                out = np.empty((3, crop.height, crop.width), np.float32)
                assert resampled(pixels, crop, name, out, memory, lambda *_: None)
                whole = Image.fromarray(pixels).resize(crop.resized[::-1], getattr(Image, name.upper()))
                part = np.asarray(whole)[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
                assert np.array_equal(out, part.transpose(2, 0, 1)), (shape, name)
        print("equal")
    """)
    done = subprocess.run(
        [str(python), "-B", "-c", program],
        env={"PYTHONPATH": str(ROOT / "vendor_hooks")},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.stdout.strip() == "equal", done.stderr
