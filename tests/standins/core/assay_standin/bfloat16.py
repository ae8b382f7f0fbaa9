"""bfloat16, which numpy and ONNX Runtime's CPU kernels lack: its bits are uint16, and graphs compute in float32."""

import numpy as np

from assay_standin import precision, wire

# onnx.proto: DataType.
FLOAT, BFLOAT16 = 1, 16
DTYPE = np.dtype("uint16")


def widened(bits):
    """Return the float32 values of an array of bits."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrowed(array):
    """Return the bits of float32 values, rounded to nearest, ties to even."""
    rounded = np.asarray(precision.bf16(array), np.float32)
    return (rounded.view(np.uint32) >> np.uint32(16)).astype(DTYPE)


def value_info(message):
    """Return a ValueInfoProto with float32 in place of bfloat16."""
    return _changed(message, {2: lambda kind: _changed(kind, {1: _tensor_type})})


def node(message):
    """Return a NodeProto whose casts and constants are float32 in place of bfloat16."""
    return _changed(message, {5: _attribute})


def _changed(message, changes):
    """Return a message with the fields of these numbers replaced by what ``changes`` makes of them."""
    parts = []
    for number, _, value, begin, end in wire.fields(memoryview(message)):
        change = changes.get(number)
        parts.append(wire.bytes_field(number, change(value)) if change else message[begin:end])
    return b"".join(bytes(part) for part in parts)


def _tensor_type(message):
    return _retyped(message, 1)


def _attribute(message):
    found = {number: value for number, _, value, _, _ in wire.fields(memoryview(message))}
    name = bytes(found.get(1, b"")).decode()
    if name in ("to", "dtype") and found.get(3) == BFLOAT16:
        return _retyped(message, 3)
    return _changed(message, {5: _tensor})


def _tensor(message):
    found = {number: value for number, _, value, _, _ in wire.fields(memoryview(message))}
    if found.get(2) != BFLOAT16:
        return bytes(message)
    values = widened(np.frombuffer(found[9], dtype=DTYPE))
    return _changed(_retyped(message, 2), {9: lambda _: values.tobytes()})


def _retyped(message, field):
    parts = []
    for number, _, value, begin, end in wire.fields(memoryview(message)):
        same = number != field or value != BFLOAT16
        parts.append(bytes(message[begin:end]) if same else wire.number_field(field, FLOAT))
    return b"".join(parts)
