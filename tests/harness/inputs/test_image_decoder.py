"""Pictures of every kind become RGB; what is not a picture is refused, never filled up."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from tests.harness.job_folder import png
from tests.harness.modules import image_decoder


def gradient(mode: str = "RGB") -> Image.Image:
    ramp = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)
    picture = Image.fromarray(np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=-1))
    return picture.convert(mode)


def encoded(picture: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def by_pillow(payload: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(payload)).convert("RGB"))


@pytest.fixture(params=["simplejpeg", "Pillow"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Decode with this library; both must give the same."""
    name = str(request.param)
    if name == "simplejpeg":
        pytest.importorskip("simplejpeg")
    else:
        monkeypatch.setattr(image_decoder, "_simplejpeg", lambda: None)
    return name


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_of_every_colour_space_become_rgb(decoder: str, mode: str) -> None:
    payload = encoded(gradient(mode), quality=95)
    picture = image_decoder.decode_rgb(payload)
    assert (picture.mode, picture.size) == ("RGB", (64, 48))
    np.testing.assert_array_equal(np.asarray(picture), by_pillow(payload))


def test_both_decoders_give_the_same_bits_with_subsampled_colours(decoder: str) -> None:
    payload = encoded(gradient(), quality=75, subsampling="4:2:0")
    np.testing.assert_array_equal(np.asarray(image_decoder.decode_rgb(payload)), by_pillow(payload))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
def test_pngs_of_every_mode_become_rgb(mode: str) -> None:
    assert image_decoder.decode_rgb(encoded(gradient(mode), "PNG")).mode == "RGB"


@pytest.mark.parametrize("keep", [3, 20, 300, 0.5, 0.9])
def test_a_truncated_jpeg_is_refused(decoder: str, keep: float) -> None:
    payload = encoded(gradient(), quality=95)
    kept = payload[: int(keep if keep >= 1 else len(payload) * keep)]
    with pytest.raises(image_decoder.NotAnImage):
        image_decoder.decode_rgb(kept)


@pytest.mark.parametrize(
    "payload", [b"", b"n01440764 tench\n", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", png(1, 2, 3)[:50]]
)
def test_what_is_no_picture_is_refused(decoder: str, payload: bytes) -> None:
    with pytest.raises(image_decoder.NotAnImage):
        image_decoder.decode_rgb(payload)


def test_the_decoder_says_its_name_and_version(decoder: str) -> None:
    assert decoder in image_decoder.decoder()
    assert f"Pillow {PIL.__version__}" in image_decoder.decoder()
