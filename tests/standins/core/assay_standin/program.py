"""What a stand-in compiler writes: a header, the graph, and weights of the lowered precision."""

import json
import mmap
import struct

import numpy as np

from assay_standin import cube
from assay_standin.precision import ROUNDING

MAGIC = b"ASSAY-STANDIN-PROGRAM\n"
_SIZES = struct.Struct("<QQQ")
_ALIGNMENT = 64


class NotAProgram(ValueError):
    """The bytes are not what the stand-in's compiler wrote, or not all of them."""


class Program:
    """A compiled model: ``header`` (a dict that is JSON), graph bytes, weights [(name, array)]."""

    def __init__(self, header, graph, weights):
        self.header, self.graph, self.weights = header, graph, weights

    def tobytes(self):
        """Return the whole file."""
        index = [[name, a.dtype.str, list(a.shape), a.nbytes] for name, a in self.weights]
        header = json.dumps(dict(self.header, weights=index), sort_keys=True).encode()
        size = sum(array.nbytes for _, array in self.weights)
        lead = MAGIC + _SIZES.pack(len(header), len(self.graph), size) + header + self.graph
        pad = b"\0" * (-len(lead) % _ALIGNMENT)
        return b"".join([lead, pad] + [array.tobytes() for _, array in self.weights])


def compile_model(model, header, precision):
    """Make a Program of an OnnxFile, its float weights rounded to ``precision``."""
    replace = cube.rounded if precision == "fp16in_fp32out" else None
    graph, weights = model.rewrite(ROUNDING[precision], replace)
    ports = {"bfloat16": model.brain_ports} if model.brain_ports else {}
    return Program(dict(header, precision=precision, **ports), graph, weights)


def loads(data):
    """Read a Program; ``NotAProgram`` where the bytes are others, or cut short."""
    view = memoryview(data)
    start = len(MAGIC) + _SIZES.size
    if bytes(view[: len(MAGIC)]) != MAGIC or len(view) < start:
        raise NotAProgram("it does not begin as a compiled model does")
    header_size, graph_size, weights_size = _SIZES.unpack(view[len(MAGIC) : start])
    graph_start = start + header_size
    weights_start = graph_start + graph_size
    weights_start += -weights_start % _ALIGNMENT
    if len(view) < weights_start + weights_size:
        raise NotAProgram(
            "it is cut short: {} bytes of {}".format(len(view), weights_start + weights_size)
        )
    header = json.loads(bytes(view[start:graph_start]))
    graph = bytes(view[graph_start : graph_start + graph_size])
    return Program(header, graph, _weights(view, header.pop("weights"), weights_start))


def load(path):
    """Map a file and read it."""
    with open(path, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise NotAProgram("it is empty") from None
    return loads(data)


def _weights(view, index, offset):
    weights = []
    for name, dtype, shape, size in index:
        raw = np.frombuffer(view[offset : offset + size], dtype=np.dtype(dtype))
        weights.append((name, raw.reshape(shape)))
        offset += size
    return weights
