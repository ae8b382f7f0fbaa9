"""A small ONNX classifier, written byte by byte: no onnx package, and any opset that a test wants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

SIDE = 8
CLASSES = 10
FEATURES = 3 * SIDE * SIDE
Array = npt.NDArray[np.float32]


def weights() -> tuple[Array, Array]:
    """Return (matrix [192, 10], bias [10])."""
    rng = np.random.default_rng(7)
    matrix = rng.normal(0, 0.1, (FEATURES, CLASSES)).astype(np.float32)
    return matrix, rng.normal(0, 0.1, CLASSES).astype(np.float32)


def images(count: int) -> Array:
    """Return a batch [count, 3, 8, 8]."""
    return np.random.default_rng(11).normal(0, 1, (count, 3, SIDE, SIDE)).astype(np.float32)


def reference(batch: Array) -> Array:
    """Return what the model computes, in float64 rounded to float32."""
    matrix, bias = weights()
    flat = batch.reshape(len(batch), -1).astype(np.float64)
    return (flat @ matrix.astype(np.float64) + bias).astype(np.float32)


def write(
    folder: Path,
    *,
    batch: int | str = "batch",
    opset: int = 11,
    external: bool = False,
    operator: str = "MatMul",
    name: str = "model.onnx",
) -> Path:
    """Write flatten → matmul → add; ``batch`` is a number, or a name where it is dynamic."""
    matrix, bias = weights()
    graph = b"".join(
        [
            _message(1, _node("Flatten", ["image"], ["flat"])),
            _message(1, _node(operator, ["flat", "matrix"], ["product"])),
            _message(1, _node("Add", ["product", "bias"], ["logits"])),
            _text(2, "tiny"),
            _message(5, _external("matrix", matrix) if external else _tensor("matrix", matrix)),
            _message(5, _tensor("bias", bias)),
            _message(11, _port("image", [batch, 3, SIDE, SIDE])),
            _message(12, _port("logits", [batch, CLASSES])),
        ]
    )
    model = _number(1, 6) + _message(7, graph) + _message(8, _number(2, opset))
    if external:
        (folder / "model.data").write_bytes(b"\0" * 64 + matrix.tobytes())
    path = folder / name
    path.write_bytes(model)
    return path


def _node(operator: str, inputs: list[str], outputs: list[str]) -> bytes:
    return (
        b"".join(_text(1, name) for name in inputs)
        + b"".join(_text(2, name) for name in outputs)
        + _text(4, operator)
    )


def _tensor(name: str, array: Array) -> bytes:
    dims = b"".join(_number(1, dim) for dim in array.shape)
    return dims + _number(2, 1) + _text(8, name) + _message(9, array.tobytes())


def _external(name: str, array: Array) -> bytes:
    dims = b"".join(_number(1, dim) for dim in array.shape)
    entries = {"location": "model.data", "offset": "64", "length": str(array.nbytes)}
    pairs = b"".join(_message(13, _text(1, k) + _text(2, v)) for k, v in entries.items())
    return dims + _number(2, 1) + _text(8, name) + pairs + _number(14, 1)


def _port(name: str, dims: list[int | str]) -> bytes:
    each = [_number(1, dim) if isinstance(dim, int) else _text(2, dim) for dim in dims]
    shape = b"".join(_message(1, dim) for dim in each)
    return _text(1, name) + _message(2, _message(1, _number(1, 1) + _message(2, shape)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())
