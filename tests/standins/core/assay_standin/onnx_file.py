"""An ONNX file as a compiler sees it: opset, inputs, outputs, operators, weights; refuses broken ones."""

import os
from typing import NamedTuple

import numpy as np

from assay_standin import bfloat16, wire

# onnx.proto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto : field numbers and data types.
DTYPES = {
    1: np.dtype("float32"), 2: np.dtype("uint8"), 3: np.dtype("int8"), 6: np.dtype("int32"),
    7: np.dtype("int64"), 9: np.dtype("bool"), 10: np.dtype("float16"), 11: np.dtype("float64"),
    bfloat16.BFLOAT16: bfloat16.DTYPE,
}  # fmt: skip
FLOAT, FLOAT16, FLOAT8E4M3FN = 1, 10, 17
# Smaller tensors (shapes, scalars) stay inside the graph: operators need them to infer shapes.
INLINE_BYTES = 1024


class OnnxError(ValueError):
    """The file is not an ONNX model that can be read."""


class Port(NamedTuple):
    """An input or output; a dimension is an int, or a name where it is dynamic ("" unnamed)."""

    name: str
    dtype: np.dtype
    dims: tuple

    @property
    def dynamic(self):
        """Whether some dimension is not fixed."""
        return any(not isinstance(dim, int) for dim in self.dims)


class Weight(NamedTuple):
    """One initializer: its name, dimensions, ONNX data type and bytes."""

    name: str
    dims: tuple
    data_type: int
    raw: memoryview


class OnnxFile:
    """One model, read whole; weights are views of the file or of its external data."""

    def __init__(self, data, folder):
        self._folder = folder
        self._external = {}
        self._data = memoryview(data)
        self.opset, self.operators, self.inputs, self.outputs, self.weights = None, [], [], [], []
        self.graph_span = None
        try:
            self._read()
        except (wire.CutShort, UnicodeDecodeError, KeyError) as error:
            raise OnnxError("not a whole ONNX model: {}".format(error)) from None
        if self.graph_span is None or self.opset is None or not self.outputs:
            raise OnnxError("not a whole ONNX model: no graph, no opset or no output in it")

    @property
    def dynamic(self):
        """Whether some input has a dimension that is not fixed."""
        return any(port.dynamic for port in self.inputs)

    @property
    def half(self):
        """Whether the graph was cast to float16: some weight is."""
        return any(weight.data_type == FLOAT16 for weight in self.weights)

    @property
    def brain(self):
        """Whether the graph was cast to bfloat16: some weight is."""
        return any(weight.data_type == bfloat16.BFLOAT16 for weight in self.weights)

    @property
    def eight(self):
        """Whether the graph has quantizers in float8: the zero point of some is."""
        return any(weight.data_type == FLOAT8E4M3FN for weight in self.weights)

    @property
    def brain_ports(self):
        """The names of inputs and outputs that are bfloat16."""
        return [port.name for port in self.inputs + self.outputs if port.dtype == bfloat16.DTYPE]

    def _read(self):
        for number, _, value, begin, end in wire.fields(self._data):
            if number == 8:
                opset = {n: v for n, _, v, _, _ in wire.fields(value)}
                if not bytes(opset.get(1, b"")).decode():
                    self.opset = opset.get(2, 0)
            elif number == 7:
                self.graph_span = (begin, end)
                self._graph = value
                self._read_graph(value)

    def _read_graph(self, graph):
        inputs = []
        for number, _, value, _, _ in wire.fields(graph):
            if number == 1:
                self.operators.append(_operator(value))
            elif number == 5:
                self.weights.append(self._weight(value))
            elif number == 11:
                inputs.append(_port(value))
            elif number == 12:
                self.outputs.append(_port(value))
        names = {weight.name for weight in self.weights}
        self.inputs = [port for port in inputs if port.name not in names]

    def _weight(self, message):
        dims, entries, parts = [], {}, {}
        for number, kind, value, _, _ in wire.fields(message):
            if number == 1:
                dims += _integers(kind, value)
            elif number == 13:
                pair = {n: bytes(v).decode() for n, _, v, _, _ in wire.fields(value)}
                entries[pair[1]] = pair[2]
            else:
                parts.setdefault(number, []).append((kind, value))
        name, data_type = bytes(parts[8][0][1]).decode(), parts[2][0][1]
        if entries:
            raw = self._outside(name, entries)
        elif 9 in parts:
            raw = parts[9][0][1]
        else:
            raw = memoryview(_typed(data_type, parts))
        return Weight(name, tuple(dims), data_type, raw)

    def _outside(self, name, entries):
        location = entries["location"]
        if location not in self._external:
            path = os.path.join(self._folder, location)
            if not os.path.isfile(path):
                raise OnnxError("external data {!r} of {!r} is not there".format(location, name))
            self._external[location] = np.memmap(path, dtype=np.uint8, mode="r")
        data = self._external[location]
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", len(data) - offset))
        if offset + length > len(data):
            raise OnnxError(
                "external data {!r} is cut short: {!r} ends at {}, the file at {}".format(
                    location, name, offset + length, len(data)
                )
            )
        return memoryview(data[offset : offset + length])

    def rewrite(self, change, replace=None):
        """Return (model bytes, weights): ``change`` makes an array of each float weight.

        ``replace`` makes a list of nodes of each node, all as bytes; None keeps every node.

        Weights over INLINE_BYTES are taken out as external data of the file "weights"; they come back
        as [(name, array)], in the order of their offsets. What is bfloat16 comes back as float32.
        """
        begin, end = self.graph_span
        graph, outside, offset = [], [], 0
        order = iter(self.weights)
        for number, _, value, start, stop in wire.fields(self._graph):
            if number == 1 and replace:
                graph += [wire.bytes_field(1, node) for node in replace(bytes(value))]
                continue
            if number != 5:
                graph.append(_float32(number, value, bytes(self._graph[start:stop])))
                continue
            weight = next(order)
            array = _array(weight)
            if weight.data_type == bfloat16.BFLOAT16:
                weight, array = weight._replace(data_type=FLOAT), bfloat16.widened(array)
            if weight.data_type == FLOAT:
                array = np.ascontiguousarray(change(array))
            inline = array.nbytes <= INLINE_BYTES or weight.data_type not in DTYPES
            graph.append(wire.bytes_field(5, _tensor(weight, array, None if inline else offset)))
            if not inline:
                outside.append((weight.name, array))
                offset += array.nbytes
        head, tail = bytes(self._data[:begin]), bytes(self._data[end:])
        return head + wire.bytes_field(7, b"".join(graph)) + tail, outside


def read(path):
    """Read a model file; ``OnnxError`` where it is missing, cut short or no model."""
    if not os.path.isfile(path):
        raise OnnxError("{} is not there".format(path))
    with open(path, "rb") as file:
        return OnnxFile(file.read(), os.path.dirname(os.path.abspath(path)))


def _float32(number, value, whole):
    """Return a field of a graph with float32 in place of bfloat16: nodes, inputs, outputs, value_info."""
    change = {1: bfloat16.node, 11: bfloat16.value_info, 12: bfloat16.value_info,
              13: bfloat16.value_info}.get(number)  # fmt: skip
    return whole if change is None else wire.bytes_field(number, change(bytes(value)))


def _array(weight):
    dtype = DTYPES.get(weight.data_type)
    if dtype is None:
        return np.frombuffer(weight.raw, dtype=np.uint8)
    if len(weight.raw) != int(np.prod(weight.dims, dtype=np.int64)) * dtype.itemsize:
        raise OnnxError("weight {!r} has {} bytes for {}".format(
            weight.name, len(weight.raw), list(weight.dims)))  # fmt: skip
    return np.frombuffer(weight.raw, dtype=dtype).reshape(weight.dims)


def _tensor(weight, array, offset):
    head = b"".join(wire.number_field(1, dim) for dim in weight.dims)
    head += wire.number_field(2, weight.data_type) + wire.bytes_field(8, weight.name)
    if offset is None:
        return head + wire.bytes_field(9, array.tobytes())
    for key, value in (("location", "weights"), ("offset", offset), ("length", array.nbytes)):
        pair = wire.bytes_field(1, key) + wire.bytes_field(2, str(value))
        head += wire.bytes_field(13, pair)
    return head + wire.number_field(14, 1)


def _typed(data_type, parts):
    """Return the bytes of a tensor that keeps its numbers in typed fields."""
    if data_type == FLOAT:
        return b"".join(bytes(value) for _, value in parts.get(4, []))
    kind = {7: 7, 6: 5, 9: 5, 2: 5, 3: 5, 10: 5}.get(data_type)
    if kind is None:
        raise OnnxError("weights of data type {} in typed fields are not read".format(data_type))
    numbers = [n for wire_kind, value in parts.get(kind, []) for n in _integers(wire_kind, value)]
    # Halves are kept as the integers of their bits.
    bits = np.dtype("uint16") if data_type == FLOAT16 else DTYPES[data_type]
    return np.asarray(numbers, dtype=bits).tobytes()


def _integers(kind, value):
    if kind == wire.VARINT:
        return [wire.signed(value)]
    numbers, position = [], 0
    while position < len(value):
        number, position = wire.read_varint(value, position)
        numbers.append(wire.signed(number))
    return numbers


def _operator(message):
    for number, _, value, _, _ in wire.fields(message):
        if number == 4:
            return bytes(value).decode()
    raise OnnxError("not a whole ONNX model: a node has no operator")


def _port(message):
    name, dtype, dims = "", None, []
    for number, _, value, _, _ in wire.fields(message):
        if number == 1:
            name = bytes(value).decode()
        elif number == 2:
            dtype, dims = _tensor_type(value)
    return Port(name, dtype, tuple(dims))


def _tensor_type(message):
    dtype, dims = None, []
    for number, _, tensor, _, _ in wire.fields(message):
        if number != 1:
            continue
        for inner, _, value, _, _ in wire.fields(tensor):
            if inner == 1:
                dtype = DTYPES[value]
            elif inner == 2:
                dims = [_dimension(v) for n, _, v, _, _ in wire.fields(value) if n == 1]
    return dtype, dims


def _dimension(message):
    for number, _, value, _, _ in wire.fields(message):
        if number == 1:
            return wire.signed(value)
        if number == 2:
            return bytes(value).decode()
    return ""
