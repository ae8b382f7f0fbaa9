"""How the datatypes of TensorRT's API are kept in host memory.

numpy has no bfloat16, and TensorRT's nptype raises TypeError for it (10.0 to 11.4). A buffer of that type holds the
bits as uint16; the harness passes and gets such tensors as float32.
"""

from typing import Any, NamedTuple, Tuple

import numpy as np

from harness.errors import StageFailure

BFLOAT16 = "bfloat16"


class Binding(NamedTuple):
    """``shape`` of a full batch; ``name`` of the engine's type, as numpy or ONNX name it; ``dtype`` of the buffer."""

    shape: Tuple[int, ...]
    name: str
    dtype: Any


def binding(sdk: Any, name: str, dtype: Any, shape: Tuple[int, ...]) -> Binding:
    """Return the Binding of tensor ``name``; StageFailure (contract) for fp8 and int4.

    ``sdk`` is the module with TensorRT's names, ``dtype`` one of its DataType.
    """
    if dtype.name == "BF16":
        return Binding(shape, BFLOAT16, np.dtype(np.uint16))
    try:
        found = np.dtype(sdk.nptype(dtype))
    except TypeError as error:
        raise StageFailure(
            "contract",
            "the engine's tensor {} has the type {}, which numpy lacks".format(name, dtype.name),
            "export the graph with fp32 inputs and outputs",
        ) from error
    return Binding(shape, found.name, found)


def put(target: np.ndarray, array: np.ndarray, name: str) -> None:
    """Copy into a buffer of the engine's type ``name``; int64 indices become int32 here, where it has no other."""
    if name == BFLOAT16:
        target[...] = narrowed(array)
    else:
        np.copyto(target, array, casting="same_kind")


def taken(array: np.ndarray, name: str, declared: str) -> np.ndarray:
    """Return what a buffer holds in the dtype that the graph declares; a copy where that is another one."""
    found = widened(array) if name == BFLOAT16 else array
    return found.astype("float32" if declared == BFLOAT16 else declared, copy=False)


def narrowed(array: np.ndarray) -> np.ndarray:
    """Return float32 values as the bits of bfloat16 (uint16), rounded to nearest, ties to even; NaN stays NaN."""
    values = np.asarray(array, np.float32)
    bits = values.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    with np.errstate(over="ignore"):
        rounded = (bits + odd + np.uint32(0x7FFF)) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
    found: np.ndarray = np.where(np.isnan(values), quiet, rounded).astype(np.uint16)
    return found


def widened(bits: np.ndarray) -> np.ndarray:
    """Return the float32 values of bfloat16 bits, exactly."""
    found: np.ndarray = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return found
