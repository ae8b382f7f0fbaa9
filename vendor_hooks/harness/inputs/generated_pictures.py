"""Generated pictures: not photographs, but as demanding for decoders and networks.

They have smooth colour fields, overlapping shapes with edges at every angle, gratings and sensor
noise. A JPEG of one is about as large as one of ImageNet's (some 100 KB at 500 x 375), and two of
them differ in more than their noise. Everything comes from one seed: numpy's RandomState, whose
stream is the same in every version of numpy.
"""

import numpy as np

GRID_POINTS = 5
EDGE_SHARPNESS = 24
SHAPES_AT_LEAST, SHAPES_AT_MOST = 3, 9
NOISE_SIGMA_LOW, NOISE_SIGMA_HIGH = 4.0, 11.0
_SEED_STRIDE = 1000003


def picture(seed: int, number: int, width: int, height: int) -> np.ndarray:
    """Draw picture ``number`` of the series ``seed``: uint8 [height, width, 3]."""
    random = np.random.RandomState((seed * _SEED_STRIDE + number) % (1 << 32))
    canvas = _colour_field(random, width, height)
    for _ in range(random.randint(SHAPES_AT_LEAST, SHAPES_AT_MOST)):
        _draw_shape(random, canvas)
    sigma = random.uniform(NOISE_SIGMA_LOW, NOISE_SIGMA_HIGH)
    canvas += sigma * random.standard_normal((height, width, 1)).astype(np.float32)
    np.rint(canvas, out=canvas)
    return np.clip(canvas, 0, 255, out=canvas).astype(np.uint8)


def _colour_field(random: np.random.RandomState, width: int, height: int) -> np.ndarray:
    """Interpolate random colours on a coarse grid: float32 [height, width, 3]."""
    centre = random.uniform(40, 215, 3)
    points = centre + random.uniform(-60, 60, (GRID_POINTS, GRID_POINTS, 3))
    bands = np.tensordot(_weights(height), points, axes=1)
    return np.tensordot(_weights(width), bands, axes=([1], [1])).swapaxes(0, 1).astype(np.float32)


def _weights(count: int) -> np.ndarray:
    """Linear interpolation weights from the grid's points to ``count`` pixels."""
    position = np.linspace(0, GRID_POINTS - 1, count)
    return np.clip(1 - np.abs(position[:, None] - np.arange(GRID_POINTS)[None]), 0, 1)


def _draw_shape(random: np.random.RandomState, canvas: np.ndarray) -> None:
    """Blend one ellipse, rectangle or grating into the canvas, in place."""
    height, width = canvas.shape[:2]
    angle = random.uniform(0, np.pi)
    size_x, size_y = random.uniform(0.06, 0.32, 2)
    centre_x, centre_y = random.uniform(0, 1, 2)
    # No shape reaches beyond the diagonal of its box; the rest of the canvas stays untouched.
    reach = np.hypot(size_x, size_y) * 1.05
    left, right = (int(np.clip(centre_x + s * reach, 0, 1) * width) for s in (-1, 1))
    top, bottom = (int(np.clip(centre_y + s * reach, 0, 1) * height) for s in (-1, 1))
    dx = (np.arange(left, right, dtype=np.float32) / width - np.float32(centre_x))[None, :]
    dy = (np.arange(top, bottom, dtype=np.float32) / height - np.float32(centre_y))[:, None]
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = (dx * cos + dy * sin) / np.float32(size_x)
    v = (dy * cos - dx * sin) / np.float32(size_y)
    kind = random.randint(3)
    radius = np.maximum(np.abs(u), np.abs(v)) if kind == 1 else np.sqrt(u * u + v * v)
    cover = np.clip((1 - radius) * EDGE_SHARPNESS, 0, 1)
    if kind == 2:
        cover *= np.float32(0.5) + np.float32(0.5) * np.sin(u * np.float32(random.uniform(8, 40)))
    colour = random.uniform(0, 255, 3).astype(np.float32)
    cover *= np.float32(random.uniform(0.5, 1.0))
    part = canvas[top:bottom, left:right]
    part += cover[..., None] * (colour - part)
