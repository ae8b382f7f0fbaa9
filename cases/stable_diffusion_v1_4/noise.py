"""The noise of torch.randn on the CPU, made by numpy, so that stacks without torch start from the same latents."""

import numpy as np

_BLOCK = 16


def normal(seed, shape):
    """float32 ``shape``: ``torch.randn(shape, generator=torch.Generator().manual_seed(seed))`` (to 1e-6).

    The size must be a multiple of 16: torch then fills blocks of 16 by the Box-Muller transform, each value
    from 24 bits of a Mersenne twister (ATen/native/cpu/DistributionTemplates.h, normal_fill).
    """
    size = int(np.prod(shape))
    if size % _BLOCK:
        raise ValueError("{} values are not a multiple of {}".format(size, _BLOCK))
    bits = np.frombuffer(np.random.RandomState(seed).bytes(4 * size), dtype="<u4")
    uniform = (bits & 0xFFFFFF).astype(np.float32) * np.float32(2.0**-24)
    first, second = uniform.reshape(-1, 2, _BLOCK // 2).swapaxes(0, 1)
    radius = np.sqrt(-2 * np.log(1 - first))
    angle = np.float32(2 * np.pi) * second
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(shape)
