"""Resizing, cropping and normalising of images, with the same results as torchvision."""

from typing import Any, Sequence, Union

import numpy as np


def normalisation_table(mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """float32 [3, 256]: the normalised value of each channel's 256 pixel values."""
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    means = np.asarray(mean, np.float32).reshape(-1, 1)
    deviations = np.asarray(std, np.float32).reshape(-1, 1)
    return np.ascontiguousarray((scaled - means) / deviations)


def resized(picture: Any, size: Union[int, Sequence[int]], interpolation: str) -> Any:
    """Resize ``picture`` (PIL) to the shorter side ``size``, or to exactly ``size`` = [height, width].

    The longer side is truncated to an int, as torchvision's Resize does.
    """
    from PIL import Image

    width, height = picture.size
    if isinstance(size, int):
        shorter = min(width, height)
        target = (size * width // shorter, size * height // shorter)
    else:
        target = (size[1], size[0])
    if target == (width, height):
        return picture
    # Pillow 4 to 13 have the names on the module; the Resampling enum exists only from 9.1 on.
    return picture.resize(target, getattr(Image, interpolation.upper()))


def centre_cropped(picture: Any, size: int) -> Any:
    """The centre ``size`` × ``size`` of ``picture`` (PIL), rounded as in torchvision's CenterCrop."""
    width, height = picture.size
    left = round((width - size) / 2)
    top = round((height - size) / 2)
    return picture.crop((left, top, left + size, top + size))
