"""acl.util: between addresses and Python's objects."""

import ctypes

import numpy as np


def numpy_to_ptr(array):
    """Return where an array lies; the caller keeps it alive."""
    return array.ctypes.data


def bytes_to_ptr(data):
    """Return where bytes lie; the caller keeps them alive."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value


def ptr_to_bytes(address, size):
    """Return a copy of host memory."""
    return ctypes.string_at(address, size)


def ptr_to_numpy(address, shape, numpy_type):
    """Return a view of host memory; ``numpy_type`` is numpy's type number, as of NPY_FLOAT 11."""
    dtype = (
        np.dtype(np.sctypeDict[numpy_type]) if hasattr(np, "sctypeDict") else np.dtype(numpy_type)
    )
    size = int(np.prod(shape)) * dtype.itemsize
    raw = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(raw, dtype=dtype).reshape(shape)
