"""Image files to RGB: by simplejpeg where the stack has it, else by Pillow."""

import io
from typing import Any

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
    picture = _decode_jpeg(payload) if payload[:3] == JPEG_MAGIC else None
    return picture if picture is not None else _decode_any(payload)


def decoder() -> str:
    """Names and versions of the decoders in use, for the result."""
    import PIL

    pillow = "Pillow {}".format(PIL.__version__)
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return pillow
    version = getattr(simplejpeg, "__version__", "of unknown version")
    return "simplejpeg {} (JPEG), {} (others)".format(version, pillow)


def _decode_jpeg(payload: bytes) -> Any:
    """The image, or None where simplejpeg is missing or unsuitable (CMYK, damaged file)."""
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return None
    from PIL import Image

    try:
        if simplejpeg.decode_jpeg_header(payload)[2] in _PRINT_SPACES:
            return None
        # Slow DCT and fancy upsampling are bit-identical to Pillow, so that all stacks agree.
        pixels = simplejpeg.decode_jpeg(
            payload, colorspace="RGB", fastdct=False, fastupsample=False, strict=True
        )
    except ValueError:
        return None
    return Image.fromarray(pixels)


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
