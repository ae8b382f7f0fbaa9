"""tvm.nd."""

import numpy as np
from assay_standin.xtcl import NDArray


def empty(shape, dtype="float32", device=None):
    """Return an array on a device, the host where none is named."""
    return NDArray(np.empty(shape, dtype), device)


def array(values, device=None):
    """Copy a numpy array to a device, the host where none is named."""
    return NDArray(values, device)


__all__ = ["NDArray", "array", "empty"]
