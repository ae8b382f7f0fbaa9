"""Generated pictures: not photographs, but with what decoders and networks feed on.

Smooth colour fields, overlapping shapes with edges at every angle, gratings and sensor noise, so
that a JPEG of one costs about what one of ImageNet's costs (some 100 KB at 500 x 375) and two of
them differ in more than their noise. Everything comes from one seed: numpy's RandomState, whose
stream is frozen across numpy's versions.
"""

import numpy as np

GRID_POINTS = 5
SHAPES_AT_LEAST, SHAPES_AT_MOST = 3, 9
NOISE_SIGMA_LOW, NOISE_SIGMA_HIGH = 4.0, 11.0
_SEED_STRIDE = 1000003


def picture(seed, number, width, height):
    """Give picture ``number`` of the series ``seed``: uint8 [height, width, 3]."""
    random = np.random.RandomState((seed * _SEED_STRIDE + number) % (1 << 32))
    canvas = _colour_field(random, width, height)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x / width - 0.5, y / height - 0.5
    for _ in range(random.randint(SHAPES_AT_LEAST, SHAPES_AT_MOST)):
        _draw_shape(random, canvas, x, y)
    sigma = random.uniform(NOISE_SIGMA_LOW, NOISE_SIGMA_HIGH)
    canvas += sigma * random.standard_normal((height, width, 1)).astype(np.float32)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def _colour_field(random, width, height):
    """Interpolate random colours on a coarse grid: float32 [height, width, 3]."""
    centre = random.uniform(40, 215, 3)
    points = centre + random.uniform(-60, 60, (GRID_POINTS, GRID_POINTS, 3))
    rows = _weights(height)
    columns = _weights(width)
    return np.einsum("hi,wj,ijc->hwc", rows, columns, points, optimize=True).astype(np.float32)


def _weights(count):
    """Give linear interpolation weights from the grid's points to ``count`` pixels."""
    position = np.linspace(0, GRID_POINTS - 1, count)
    return np.clip(1 - np.abs(position[:, None] - np.arange(GRID_POINTS)[None]), 0, 1)


def _draw_shape(random, canvas, x, y):
    """Blend one ellipse, rectangle or grating into the canvas, in place."""
    angle, size_x, size_y = random.uniform(0, np.pi), *random.uniform(0.06, 0.32, 2)
    dx, dy = x - random.uniform(-0.5, 0.5), y - random.uniform(-0.5, 0.5)
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / size_x
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / size_y
    kind = random.randint(3)
    radius = np.maximum(np.abs(u), np.abs(v)) if kind == 1 else np.sqrt(u * u + v * v)
    cover = np.clip((1 - radius) * 24, 0, 1)
    if kind == 2:
        cover *= 0.5 + 0.5 * np.sin(u * random.uniform(8, 40))
    colour = random.uniform(0, 255, 3).astype(np.float32)
    cover = (cover * random.uniform(0.5, 1.0))[..., None].astype(np.float32)
    canvas += cover * (colour - canvas)
