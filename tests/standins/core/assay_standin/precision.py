"""Rounding of float32 arrays to what a lower precision can hold; the arrays stay float32."""

import numpy as np


def fp32(array):
    """As it is."""
    return array


def fp16(array):
    """IEEE half: 10 bits of mantissa; what is too large becomes the largest half."""
    top = np.float32(np.finfo(np.float16).max)
    return np.clip(array, -top, top).astype(np.float16).astype(np.float32)


def bf16(array):
    """The upper half of a float32, rounded to even: 7 bits of mantissa."""
    return _keep(array, 16)


def tf32(array):
    """TensorFloat-32: 10 bits of mantissa, the exponent of float32."""
    return _keep(array, 13)


def int8(array):
    """Symmetric, one scale a tensor: 255 steps."""
    scale = np.float32(np.abs(array).max(initial=0) / 127)
    return array if scale == 0 else (np.round(array / scale) * scale).astype(np.float32)


def _keep(array, dropped):
    bits = np.ascontiguousarray(array, dtype=np.float32).view(np.uint32)
    half = np.uint32((1 << (dropped - 1)) - 1)
    odd = (bits >> np.uint32(dropped)) & np.uint32(1)
    mask = np.uint32((0xFFFFFFFF << dropped) & 0xFFFFFFFF)
    return ((bits + half + odd) & mask).view(np.float32).reshape(np.shape(array))


# What each precision rounds at a model's inputs, outputs and weights. The last two round inside the graph: by its own
# quantizers, whose E4M3 is ONNX Runtime's, and by casts (cube.py).
ROUNDING = {
    "fp32": fp32, "fp16": fp16, "bf16": bf16, "tf32": tf32, "int8": int8, "fp8": fp32,
    "fp16in_fp32out": fp32,
}  # fmt: skip
