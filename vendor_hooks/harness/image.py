"""Pictures: an encoded file's bytes to RGB. simplejpeg where the stack has it, Pillow elsewhere."""

import io

JPEG_MAGIC = b"\xff\xd8\xff"

# Print's colour spaces: simplejpeg rounds them to other pixels than Pillow, which stacks without it use.
_PRINT_SPACES = ("CMYK", "YCCK")


class NotAnImage(ValueError):
    """The bytes are no picture, or one that is cut short; the message says what the decoder said."""


def decode_rgb(payload):
    """JPEG or PNG bytes → PIL image in mode RGB.

    Greyscale, palette and CMYK pictures become RGB. Raises NotAnImage; a truncated file is never
    filled up with grey.
    """
    picture = _decode_jpeg(payload) if payload[:3] == JPEG_MAGIC else None
    return picture if picture is not None else _decode_any(payload)


def decoder():
    """Names and versions of what decodes pictures here; the result says them."""
    import PIL

    pillow = "Pillow {}".format(PIL.__version__)
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return pillow
    version = getattr(simplejpeg, "__version__", "of unknown version")
    return "simplejpeg {} (JPEG), {} (others)".format(version, pillow)


def _decode_jpeg(payload):
    """The picture, or None where this decoder is absent or not to be used (CMYK, damaged)."""
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return None
    from PIL import Image

    try:
        if simplejpeg.decode_jpeg_header(payload)[2] in _PRINT_SPACES:
            return None
        # Slow DCT and fancy upsampling: bit-identical to Pillow, so that stacks agree.
        pixels = simplejpeg.decode_jpeg(
            payload, colorspace="RGB", fastdct=False, fastupsample=False, strict=True
        )
    except ValueError:
        return None
    return Image.fromarray(pixels)


def _decode_any(payload):
    from PIL import Image

    try:
        with Image.open(io.BytesIO(payload)) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise NotAnImage("{}: {}".format(type(error).__name__, error)) from error


def _simplejpeg():
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
