"""A tiny ONNX graph written byte by byte: logits = mean over pixels of input × weights.

The protobuf wire format is written here because no stack that runs the tests needs package onnx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOAT, INT8, INT64, BFLOAT16, FLOAT8E4M3FN = 1, 3, 7, 16, 17
OPSET = 18
#: Whose pooling has bfloat16.
BFLOAT16_OPSET = 22
IR_VERSION = 8


def varint(value: int) -> bytes:
    """Return protobuf's variable-length integer."""
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def number(field: int, value: int) -> bytes:
    """Return an integer field."""
    return varint(field << 3) + varint(value)


def message(field: int, body: bytes | str) -> bytes:
    """Return a length-delimited field: a nested message, a string or bytes."""
    raw = body.encode() if isinstance(body, str) else body
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def value_info(name: str, shape: tuple[int | str, ...], kind: int = FLOAT) -> bytes:
    """Return a ValueInfoProto of a tensor, by default float; a string is a named dimension."""
    dims = b"".join(
        message(1, message(2, size) if isinstance(size, str) else number(1, size)) for size in shape
    )
    tensor_type = number(1, kind) + message(2, dims)
    return message(1, name) + message(2, message(1, tensor_type))


def node(operator: str, inputs: list[str], output: str, attributes: bytes = b"") -> bytes:
    """Return a NodeProto."""
    names = b"".join(message(1, name) for name in inputs)
    return names + message(2, output) + message(4, operator) + attributes


def initializer(name: str, array: NDArray[np.float32]) -> bytes:
    """Return a TensorProto with raw data."""
    dims = b"".join(number(1, size) for size in array.shape)
    raw = array.astype("<f4").tobytes()
    return dims + number(2, FLOAT) + message(8, name) + message(9, raw)


def integers(name: str, values: list[int]) -> bytes:
    """Return a TensorProto of int64."""
    raw = np.array(values, "<i8").tobytes()
    return number(1, len(values)) + number(2, INT64) + message(8, name) + message(9, raw)


def integer_attribute(name: str, value: int) -> bytes:
    """Return the field of a NodeProto with an attribute that is a whole number."""
    return message(5, message(1, name) + number(3, value) + number(20, 2))


def zero_point(name: str, data_type: int = INT8) -> bytes:
    """Return a TensorProto: the scalar 0 of one byte."""
    return number(2, data_type) + message(8, name) + message(9, b"\0")


def short_initializer(name: str, array: NDArray[np.float32]) -> bytes:
    """Return a TensorProto of bfloat16: the upper halves of the numbers."""
    dims = b"".join(number(1, size) for size in array.shape)
    raw = (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return dims + number(2, BFLOAT16) + message(8, name) + message(9, raw)


def colour_graph(weights: NDArray[np.float32], side: int) -> bytes:
    """Return a model: input [batch, 3, side, side] → logits [batch, classes]."""
    return _colours(initializer("weights", weights), weights.shape[1], side, FLOAT, OPSET)


def short_graph(weights: NDArray[np.float32], side: int) -> bytes:
    """Return the same model in bfloat16, its input and output too."""
    short = short_initializer("weights", weights)
    return _colours(short, weights.shape[1], side, BFLOAT16, BFLOAT16_OPSET)


def _colours(weights: bytes, classes: int, side: int, kind: int, opset: int) -> bytes:
    graph = b"".join(
        (
            message(1, node("GlobalAveragePool", ["input"], "pooled")),
            message(1, node("Flatten", ["pooled"], "flat")),
            message(1, node("MatMul", ["flat", "weights"], "logits")),
            message(2, "colours"),
            message(5, weights),
            message(11, value_info("input", ("batch", 3, side, side), kind)),
            message(12, value_info("logits", ("batch", classes), kind)),
        )
    )
    version = message(1, "") + number(2, opset)
    return number(1, IR_VERSION) + message(7, graph) + message(8, version)


def colour_weights(classes: int) -> NDArray[np.float32]:
    """Return weights [3, classes] by which the brightest channel (above mid-grey) wins."""
    weights = np.zeros((3, classes), np.float32)
    weights[:, :3] = np.eye(3)
    return weights
