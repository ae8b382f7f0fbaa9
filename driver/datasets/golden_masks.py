"""Checks the user's golden masks of a picture before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import DataFault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from driver.models.case import MaskSpec

REMEDY = (
    "make all the masks from this picture, with its height and width, or remove them to score "
    "against fp32's masks"
)


def require_fitting(picture: Path, masks: Iterable[Path], spec: MaskSpec | None) -> None:
    """Check that all masks of the case are there or none, each of the picture's size.

    Only scoring checks the size of ``.pt`` files, as reading them takes torch. Raises DataFault.
    """
    found = list(masks)
    if not found or spec is None:
        return
    stems = {mask.stem for mask in found}
    wanted = [f"{spec.stem}{number}" for number in range(spec.count)]
    missing = [stem for stem in wanted if stem not in stems]
    if missing:
        raise DataFault(f"golden masks beside {picture} are missing: {', '.join(missing)}", REMEDY)
    import imagesize

    width, height = imagesize.get(picture, exif_rotation=False)
    if width < 1:
        raise DataFault(
            f"the size of {picture} cannot be read: the file is truncated or not a picture",
            "choose another file: DATA=<a JPEG or PNG file>",
        )
    for mask in found:
        shape = _shape(mask)
        if shape not in (None, (height, width)):
            raise DataFault(
                f"the golden mask {mask} is {_text(shape)} (height x width), but "
                f"the picture {picture.name} is {height} x {width}",
                REMEDY,
            )


def _shape(mask: Path) -> tuple[int, ...] | None:
    """Return a mask's (height, width), None for a ``.pt`` file; DataFault if it cannot be read."""
    if mask.suffix == ".pt":
        return None
    if mask.suffix == ".png":
        import imagesize

        width, height = imagesize.get(mask, exif_rotation=False)
        if width < 1:
            raise DataFault(f"the golden mask {mask} is not a PNG file", REMEDY)
        return height, width
    import numpy as np

    try:
        array = np.load(mask, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataFault(f"the golden mask {mask} cannot be read: {error}", REMEDY) from error
    return tuple(array.shape)


def _text(shape: tuple[int, ...] | None) -> str:
    return " x ".join(str(length) for length in shape or ())
