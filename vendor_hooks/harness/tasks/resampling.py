"""Pillow's bilinear and bicubic resize of a part of a picture, by matrix products; the same bits.

Pillow resizes 8-bit pictures in two passes, columns first. Each value is a sum of pixels times weights of 22
binary digits, rounded half up and clipped to 8 bits. Pillow adds these up one by one; here the weights of
some neighbouring outputs are one small matrix, and numpy's BLAS multiplies. Only the rows and columns that
the crop needs are computed.

The results are equal bit for bit, in whatever order a BLAS adds up: in float64 all sums are exact to 2^-38,
and no true one is nearer than 2^-22 to where rounding changes, except the halves themselves. Weights that are
larger by a factor of 1 + 2^-31 move a half up by 2^-32 at least, and nothing else by more than 2^-22, so that
rounding to the nearest is rounding half up. (Negative values move down, and are clipped to 0.)

The passes and weights are those of Pillow's src/libImaging/Resample.c (versions 9 to 13). What a version of it
may resize rows first is left to it, see _rows_first.
"""

import functools
from typing import Callable, List, NamedTuple, Optional, Tuple

import numpy as np

from harness.inputs.scratch import Scratch

#: Outputs that share a matrix, the fastest first; fewer waste fewer products with zeros, but need more calls.
BLOCKS = (8, 4, 2, 1)
#: Pillow's PRECISION_BITS: 32 bits less 8 of a pixel and 2 for sums beyond 1.
_ONE = float(1 << 22)
#: Makes rounding to the nearest round half up; see above.
_UPWARDS = 1.0 + 2.0**-31
#: A product of more multiplications than this wakes the threads of OpenBLAS (65536 × 4, interface/gemm.c),
#: which the loader's workers would then wait for.
LARGEST_PRODUCT = 1 << 18
#: Bytes of the columns pass's input at once: about what a core's own cache holds.
_STRIP_BYTES = 1 << 20
#: Numbers of double precision in a processor's cache line.
_LINE = 8

Finish = Callable[[int, np.ndarray], None]


def _bilinear(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    return np.where(x < 1.0, 1.0 - x, 0.0)


def _bicubic(x: np.ndarray) -> np.ndarray:
    a = -0.5
    x = np.abs(x)
    inner = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    outer = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, inner, np.where(x < 2.0, outer, 0.0))


#: Pillow's name → (kernel, its support). Lanczos needs a sine, whose last bit depends on the library.
FILTERS = {"bilinear": (_bilinear, 1.0), "bicubic": (_bicubic, 2.0)}
#: Those without negative weights: what they round to is never beyond 0 … 255.
WITHIN = ("bilinear",)


class Pass(NamedTuple):
    """One direction: outputs ``first`` … of a line of inputs, ``block`` of them by each matrix.

    Matrix (i, j) has the weights of ``width`` inputs from ``base + i * steps[0] + j * steps[1]``: [width, block], or
    [block, width] for the rows. ``base`` and the end may lie beyond the line; the weights there are zero. ``live``
    inputs count.
    """

    matrices: np.ndarray
    width: int
    block: int
    base: int
    steps: Tuple[int, int]
    live: Tuple[int, int]

    @property
    def groups(self) -> Tuple[int, int]:
        """How many values i and j have."""
        return self.matrices.shape[0], self.matrices.shape[1]

    @property
    def outputs(self) -> int:
        """Outputs of all matrices; the last ones may be beyond those that are asked for."""
        return self.groups[0] * self.groups[1] * self.block

    @property
    def span(self) -> int:
        """Inputs from ``base`` to the end of the last matrix."""
        far = [(count - 1) * step for count, step in zip(self.groups, self.steps)]
        return sum(far) + self.width


class _Strip(NamedTuple):
    """Rows ``top`` … ``bottom`` of a picture in the columns pass: views of memory that channels and strips share.

    ``live`` takes the inputs, float64 [rows, inputs], which ``windows`` show to each matrix; ``products`` show
    ``part``, float64 [rows, outputs], by matrix.
    """

    top: int
    bottom: int
    live: np.ndarray
    windows: np.ndarray
    products: np.ndarray
    part: np.ndarray


class Crop(NamedTuple):
    """A part of a resized picture: (height, width) of the whole, and rows and columns of the part."""

    resized: Tuple[int, int]
    top: int
    left: int
    height: int
    width: int

    @property
    def inside(self) -> bool:
        """Whether the part lies within the picture."""
        height, width = self.resized
        return (
            self.top >= 0
            and self.left >= 0
            and self.top + self.height <= height
            and self.left + self.width <= width
        )


def resampled(
    pixels: np.ndarray,
    crop: Crop,
    interpolation: str,
    out: np.ndarray,
    scratch: Scratch,
    finish: Finish,
) -> bool:
    """Write the crop's pixels (0 … 255) of ``pixels``, uint8 [H, W, 3], into ``out``, float32 [3, h, w].

    ``finish`` gets each channel's number and plane while the processor's cache still holds it.
    Returns False, and writes nothing, where this module cannot: another filter, a crop beyond the picture, an
    extreme scale, a tall picture whose rows Pillow may resize first. Pillow does it then.
    """
    passes = _passes(pixels.shape[:2], crop, interpolation)
    if passes is None:
        return False
    columns, rows = passes
    # Views are made once a picture, not once a channel: to make them takes Python some 20 µs.
    middle = scratch.array("middle", (rows.span, columns.outputs), np.float64)
    strips = _strips(columns, rows, middle, scratch)
    windows = _windows(middle, 0, rows.steps, rows.groups, (rows.width, crop.width))
    found = scratch.array("rows", rows.groups + (rows.block, crop.width), np.float64)
    wanted = found.reshape(-1, crop.width)[: crop.height]
    begin, end = columns.live
    clips = interpolation not in WITHIN
    for channel, plane in enumerate(out):
        for strip in strips:
            np.copyto(strip.live, pixels[strip.top : strip.bottom, begin:end, channel])
            np.matmul(strip.windows, columns.matrices, out=strip.products)
            np.rint(strip.part, out=strip.part)
            if clips:
                strip.part.clip(0.0, 255.0, out=strip.part)
        np.matmul(rows.matrices, windows, out=found)
        np.rint(found, out=found)
        # Whole numbers by now, which single precision holds: clipping them there takes half as long.
        np.copyto(plane, wanted, casting="same_kind")
        if clips:
            plane.clip(0.0, 255.0, out=plane)
        finish(channel, plane)
    return True


@functools.lru_cache(maxsize=256)
def _passes(shape: Tuple[int, int], crop: Crop, interpolation: str) -> Optional[Tuple[Pass, Pass]]:
    if interpolation not in FILTERS or not crop.inside or _rows_first(shape, crop.resized):
        return None
    # A matrix of the columns pass meets at least 16 rows, one of the rows pass the crop's whole width.
    columns = _pass(shape[1], crop.resized[1], interpolation, crop.left, crop.width, 16)
    rows = _pass(shape[0], crop.resized[0], interpolation, crop.top, crop.height, crop.width)
    if columns is None or rows is None:
        return None
    return columns, rows._replace(
        matrices=np.ascontiguousarray(rows.matrices.transpose(0, 1, 3, 2))
    )


def _rows_first(shape: Tuple[int, int], resized: Tuple[int, int]) -> bool:
    """Whether some version of Pillow resizes rows before columns, which gives other bits.

    13: the height shrinks by more than twice what the width does (ImagingResampleInner); up to 12: the picture
    is more than 100 times as tall as wide (Image.resize).
    """
    shrunk = shape[0] - resized[0]
    return shrunk > 0 and (shrunk > 2 * (shape[1] - resized[1]) or shape[0] > 100 * shape[1])


def _pass(
    inputs: int, outputs: int, interpolation: str, first: int, count: int, lines: int
) -> Optional[Pass]:
    """The pass for outputs ``first`` … ``first + count``; None if even the smallest product is too large."""
    weights, starts = _weights(inputs, outputs, interpolation, first, count)
    for block in BLOCKS:
        found = _blocked(weights, starts, block)
        if found.block * found.width * lines <= LARGEST_PRODUCT:
            end = min(int(starts[-1]) + weights.shape[1], inputs)
            return found._replace(live=(int(starts[0]), end))
    return None


def _weights(
    inputs: int, outputs: int, interpolation: str, first: int, count: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Pillow's weights of outputs ``first`` … ``first + count``, float64 [count, n], and the first input of each.

    They are multiples of 2^-22, times _UPWARDS.
    """
    kernel, support = FILTERS[interpolation]
    scale = inputs / outputs
    widened = max(scale, 1.0)
    reach = support * widened
    centres = (np.arange(first, first + count) + 0.5) * scale
    # Truncation, as C's cast does it; negative values are clipped next.
    starts = np.maximum((centres - reach + 0.5).astype(np.int64), 0)
    ends = np.minimum((centres + reach + 0.5).astype(np.int64), inputs)
    taps = np.arange(int((ends - starts).max()))
    positions = taps + starts[:, None]
    weights = kernel((positions - centres[:, None] + 0.5) * (1.0 / widened))
    weights[positions >= ends[:, None]] = 0.0
    # cumsum adds one by one, as Pillow does; sum() would add in pairs.
    totals = np.cumsum(weights, axis=1)[:, -1:]
    weights = np.divide(weights, totals, out=weights, where=totals != 0.0)
    whole = np.trunc(weights * _ONE + np.copysign(0.5, weights))
    return whole / _ONE * _UPWARDS, starts


def _blocked(weights: np.ndarray, starts: np.ndarray, block: int) -> Pass:
    """Group the weights; matrices begin at equal distances, so that one call multiplies all of them."""
    count, taps = weights.shape
    numbers = np.arange(count) // block
    inner, steps = _steps(
        int(numbers[-1]) + 1, float(starts[-1] - starts[0]) * block / max(1, count - 1)
    )
    offsets = starts - numbers // inner * steps[0] - numbers % inner * steps[1]
    base = int(offsets.min())
    offsets -= base
    width = int(offsets.max()) + taps
    matrices = np.zeros((int(numbers[-1]) + 1, width, block))
    places = np.arange(taps) + offsets[:, None]
    matrices[numbers[:, None], places, (np.arange(count) % block)[:, None]] = weights
    return Pass(matrices.reshape(-1, inner, width, block), width, block, base, steps, (0, 0))


def _steps(count: int, pace: float) -> Tuple[int, Tuple[int, int]]:
    """How to place ``count`` matrices that lie ``pace`` inputs apart: how many a group, and the two whole steps.

    What steps are off by adds up, and each matrix is widened by it. Groups begin near where they should.
    """
    divisors = (inner for inner in range(1, count + 1) if count % inner == 0)
    inner = min(divisors, key=lambda one: _off(pace, one) + _off(pace * one, count // one))
    return inner, (round(pace * inner), round(pace))


def _off(pace: float, count: int) -> float:
    """By how much the last of ``count`` whole steps is off."""
    return abs(pace - round(pace)) * (count - 1)


def _strips(columns: Pass, rows: Pass, middle: np.ndarray, scratch: Scratch) -> List[_Strip]:
    """The rows that the rows pass needs, a strip at a time, whose outputs are rows of ``middle``."""
    # Rows at multiples of a cache line: most windows touch one line fewer.
    width = -(-columns.span // _LINE) * _LINE
    height = min(
        LARGEST_PRODUCT // (columns.width * columns.block),
        max(16, _STRIP_BYTES // (8 * width)),
    )
    placed = columns.groups[1] * columns.block, columns.block
    begin, end = (place - columns.base for place in columns.live)
    found = []
    for top in range(rows.live[0], rows.live[1], height):
        bottom = min(top + height, rows.live[1])
        source = scratch.array("columns", (bottom - top, width), np.float64)
        part = middle[top - rows.base : bottom - rows.base]
        windows = _windows(source, 1, columns.steps, columns.groups, (bottom - top, columns.width))
        products = _windows(part, 1, placed, columns.groups, (bottom - top, columns.block))
        found.append(_Strip(top, bottom, source[:, begin:end], windows, products, part))
    return found


def _windows(
    array: np.ndarray,
    axis: int,
    steps: Tuple[int, int],
    groups: Tuple[int, int],
    shape: Tuple[int, int],
) -> np.ndarray:
    """Windows [i, j, rows, columns] of a matrix, ``steps`` apart along ``axis``; they may overlap."""
    strides = tuple(step * array.strides[axis] for step in steps) + array.strides
    return np.ndarray(groups + shape, array.dtype, array, 0, strides)
