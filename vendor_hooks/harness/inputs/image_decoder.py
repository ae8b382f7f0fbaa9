"""Image files to RGB: by simplejpeg where the stack has it, else by Pillow."""

import io
from typing import Any, Optional

import numpy as np

from harness.inputs.scratch import Scratch

JPEG_MAGIC = b"\xff\xd8\xff"

# simplejpeg and Pillow, which stacks without simplejpeg use, convert these colour spaces differently.
_PRINT_SPACES = ("CMYK", "YCCK")


class NotAnImage(ValueError):
    """The bytes are not an image, or a truncated one; the message is the decoder's."""


def decode_rgb(payload: bytes) -> Any:
    """JPEG or PNG bytes → PIL image in mode RGB.

    Greyscale, palette and CMYK images become RGB. Raises NotAnImage, also for a truncated file, whose
    missing part is never filled with grey.
    """
    pixels = _decode_jpeg(payload, None)
    if pixels is None:
        return _decode_any(payload)
    from PIL import Image

    return Image.fromarray(pixels)


def decode_pixels(payload: bytes, scratch: Scratch) -> np.ndarray:
    """As decode_rgb, but uint8 [height, width, 3], in ``scratch`` where the decoder can: valid until the next."""
    pixels = _decode_jpeg(payload, scratch)
    return np.asarray(_decode_any(payload)) if pixels is None else pixels


def decoder() -> str:
    """Names and versions of the decoders in use, for the result."""
    import PIL

    pillow = "Pillow {}".format(PIL.__version__)
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return pillow
    version = getattr(simplejpeg, "__version__", "of unknown version")
    return "simplejpeg {} (JPEG), {} (others)".format(version, pillow)


def _decode_jpeg(payload: bytes, scratch: Optional[Scratch]) -> Optional[np.ndarray]:
    """The pixels; None for other formats, for CMYK, for damaged files, and without simplejpeg."""
    simplejpeg = _simplejpeg() if payload[:3] == JPEG_MAGIC else None
    if simplejpeg is None:
        return None
    try:
        height, width, space = simplejpeg.decode_jpeg_header(payload)[:3]
        if space in _PRINT_SPACES:
            return None
        buffer = scratch.array("jpeg", (height, width, 3), np.uint8) if scratch else None
        # Slow DCT and fancy upsampling are bit-identical to Pillow, so that all stacks agree.
        pixels: np.ndarray = simplejpeg.decode_jpeg(
            payload, colorspace="RGB", fastdct=False, fastupsample=False, strict=True, buffer=buffer
        )
    except ValueError:
        return None
    return pixels


def _decode_any(payload: bytes) -> Any:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(payload)) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise NotAnImage("{}: {}".format(type(error).__name__, error)) from error


def _simplejpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
