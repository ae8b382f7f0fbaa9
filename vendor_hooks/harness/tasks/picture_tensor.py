"""A decoded picture to the tensor that a network sees: resized, cropped, normalised."""

from typing import Any, Dict

import numpy as np

from harness import clock, log
from harness.inputs.scratch import Scratch
from harness.tasks.preprocessing import Normalisation, centre_cropped, placed, resized
from harness.tasks.resampling import resampled

#: The two ways to resize, which give the same bits.
PILLOW = "Pillow"
PRODUCTS = "matrix products (harness.tasks.resampling)"
_TRIES = 5


class PictureTensor:
    """Constants of ``[preprocess]`` in case.toml; raises KeyError for one that is missing.

    ``resampling`` names what resizes: matrix products once ``choose`` has found them equal to Pillow and
    faster, as on every processor that we know; a numpy without an optimised BLAS is slower.
    """

    def __init__(self, constants: Dict[str, Any]) -> None:
        self._resize = constants["resize"]
        self._crop = constants.get("crop")
        self._interpolation = constants["interpolation"]
        self._normalisation = Normalisation(constants["mean"], constants["std"])
        self._scratch = Scratch()
        self._chosen = False
        self.resampling = PILLOW

    def fresh(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [H, W, 3] → float32 [3, h, w] in an array of its own."""
        crop = placed(pixels.shape[:2], self._resize, self._crop)
        out = np.empty((3, crop.height, crop.width), np.float32)
        self.write(pixels, out)
        return out

    def fits(self, pixels: np.ndarray, out: np.ndarray) -> bool:
        """Whether ``out`` has the shape and dtype of this picture's tensor."""
        crop = placed(pixels.shape[:2], self._resize, self._crop)
        return out.dtype == np.float32 and out.shape == (3, crop.height, crop.width)

    def write(self, pixels: np.ndarray, out: np.ndarray) -> None:
        """The tensor of ``pixels``, uint8 [H, W, 3], into ``out``, float32 [3, h, w]."""
        if self.resampling == PILLOW or not self._by_products(pixels, out):
            self._by_pillow(pixels, out)

    def choose(self, pixels: np.ndarray) -> None:
        """Compare the two ways on the first picture: the faster one, Pillow if their bits differ."""
        if self._chosen:
            return
        self._chosen = True
        ours, theirs = np.empty_like(self.fresh(pixels)), self.fresh(pixels)
        if not self._by_products(pixels, ours):
            return
        self._by_pillow(pixels, theirs)
        if not np.array_equal(ours, theirs):
            log.say("matrix products resize this picture unlike Pillow: using Pillow")
            return
        if self._quickest_ns(self._by_products, pixels, ours) < self._quickest_ns(
            self._by_pillow, pixels, theirs
        ):
            self.resampling = PRODUCTS

    def _by_products(self, pixels: np.ndarray, out: np.ndarray) -> bool:
        crop = placed(pixels.shape[:2], self._resize, self._crop)
        finish = self._normalisation.apply
        return resampled(pixels, crop, self._interpolation, out, self._scratch, finish)

    def _by_pillow(self, pixels: np.ndarray, out: np.ndarray) -> None:
        from PIL import Image

        picture = resized(Image.fromarray(pixels), self._resize, self._interpolation)
        if self._crop:
            picture = centre_cropped(picture, self._crop)
        np.copyto(out, np.asarray(picture).transpose(2, 0, 1))
        for channel, plane in enumerate(out):
            self._normalisation.apply(channel, plane)

    @staticmethod
    def _quickest_ns(write: Any, pixels: np.ndarray, out: np.ndarray) -> int:
        found = []
        for _ in range(_TRIES):
            started = clock.processor_ns()
            write(pixels, out)
            found.append(clock.processor_ns() - started)
        return min(found)
