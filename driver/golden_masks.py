"""The user's golden masks of a picture, looked at before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagesize
import numpy as np

from driver.errors import DataFault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

STEM = "sam_gt_"
COUNT = 3
SUFFIXES = (".pt", ".npy", ".png")
NAMES = tuple(f"{STEM}{number}{suffix}" for number in range(COUNT) for suffix in SUFFIXES)
REMEDY = (
    "make the masks from this very picture (all three, its height and width), or remove them: "
    "fp32's masks then count"
)


def require_fitting(picture: Path, masks: Iterable[Path]) -> None:
    """Check that there are all three masks or none, each as large as the picture.

    A ``.pt`` file's size is seen by scoring only: reading one takes torch. Raises DataFault.
    """
    found = list(masks)
    if not found:
        return
    stems = {mask.stem for mask in found}
    missing = [f"{STEM}{n}" for n in range(COUNT) if f"{STEM}{n}" not in stems]
    if missing:
        raise DataFault(f"the golden masks beside {picture} lack {', '.join(missing)}", REMEDY)
    width, height = imagesize.get(picture, exif_rotation=False)
    if width < 1:
        raise DataFault(
            f"{picture} says nowhere how large it is: it is cut short or no picture",
            "give another file: DATA=<a JPEG or PNG file>",
        )
    for mask in found:
        shape = _shape(mask)
        if shape not in (None, (height, width)):
            raise DataFault(
                f"the golden mask {mask} is {_text(shape)} (height x width), "
                f"the picture {picture.name} is {height} x {width}",
                REMEDY,
            )


def _shape(mask: Path) -> tuple[int, ...] | None:
    """(height, width) of a mask; None for a ``.pt`` file. DataFault for one that cannot be read."""
    if mask.suffix == ".pt":
        return None
    if mask.suffix == ".png":
        width, height = imagesize.get(mask, exif_rotation=False)
        if width < 1:
            raise DataFault(f"the golden mask {mask} is no PNG file", REMEDY)
        return height, width
    try:
        array = np.load(mask, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataFault(f"the golden mask {mask} cannot be read: {error}", REMEDY) from error
    return tuple(array.shape)


def _text(shape: tuple[int, ...] | None) -> str:
    return " x ".join(str(length) for length in shape or ())
