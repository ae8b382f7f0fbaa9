"""Resizing, cropping and normalising of images, with the same results as torchvision."""

from typing import Any, Optional, Sequence, Tuple, Union

import numpy as np

from harness.tasks.resampling import Crop


def normalisation_table(mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """float32 [3, 256]: the normalised value of each channel's 256 pixel values."""
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    means = np.asarray(mean, np.float32).reshape(-1, 1)
    deviations = np.asarray(std, np.float32).reshape(-1, 1)
    return np.ascontiguousarray((scaled - means) / deviations)


class Normalisation:
    """(pixel / 255 - mean) / std for each channel, in float32 as torchvision computes it."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self._constants = [(np.float32(m), np.float32(s)) for m, s in zip(mean, std)]

    def apply(self, channel: int, plane: np.ndarray) -> None:
        """Normalise one channel's ``plane``, float32 [H, W] of values 0 … 255, in place."""
        mean, deviation = self._constants[channel]
        np.divide(plane, np.float32(255), out=plane)
        np.subtract(plane, mean, out=plane)
        np.divide(plane, deviation, out=plane)


def placed(shape: Tuple[int, int], size: Union[int, Sequence[int]], crop: Optional[int]) -> Crop:
    """Where the part that a network sees lies, for a picture of ``shape`` (height, width).

    ``size`` is that of ``resized``; ``crop`` the side of the centre square, None for the whole picture.
    """
    width, height = _target((shape[1], shape[0]), size)
    if not crop:
        return Crop((height, width), 0, 0, height, width)
    left, top = _centre((width, height), crop)
    return Crop((height, width), top, left, crop, crop)


def resized(picture: Any, size: Union[int, Sequence[int]], interpolation: str) -> Any:
    """Resize ``picture`` (PIL) to the shorter side ``size``, or to exactly ``size`` = [height, width].

    The longer side is truncated to an int, as torchvision's Resize does.
    """
    from PIL import Image

    target = _target(picture.size, size)
    if target == picture.size:
        return picture
    # Pillow 4 to 13 have the names on the module; the Resampling enum exists only from 9.1 on.
    return picture.resize(target, getattr(Image, interpolation.upper()))


def centre_cropped(picture: Any, size: int) -> Any:
    """The centre ``size`` × ``size`` of ``picture`` (PIL), rounded as in torchvision's CenterCrop."""
    left, top = _centre(picture.size, size)
    return picture.crop((left, top, left + size, top + size))


def _target(measures: Tuple[int, int], size: Union[int, Sequence[int]]) -> Tuple[int, int]:
    """(width, height) of a resized picture."""
    width, height = measures
    if not isinstance(size, int):
        return size[1], size[0]
    shorter = min(width, height)
    return size * width // shorter, size * height // shorter


def _centre(measures: Tuple[int, int], size: int) -> Tuple[int, int]:
    """(left, top) of the centre square."""
    width, height = measures
    return round((width - size) / 2), round((height - size) / 2)
