"""The graph's weights: those in a safetensors file below the graph are not written again.

Writing another gigabyte would make the export wait for the disk. Graphs of LARGE_BYTES and more are also used as they
were exported: simplifying would write their weights once more, and folding constants would double them in memory.
"""

import json
import pathlib

import numpy as np

DATA = "raw.data"
#: Smaller tensors stay in the graph, so that shapes and constants can be read without the data.
EXTERNAL_TENSOR_BYTES = 1024
#: From so many bytes of weights on, none are copied.
LARGE_BYTES = 4 << 30


def save(model, path):
    """Write an onnx_ir model to ``path``, with its large weights in files below ``path``'s folder."""
    import onnx_ir

    stored = _Stored(path.parent)
    left = []
    for value in model.graph.initializers.values():
        if value.const_value.nbytes <= EXTERNAL_TENSOR_BYTES:
            continue
        found = stored.find(value.name, value.const_value)
        if found is None:
            left.append(value)
        else:
            value.const_value = found
    if left:
        written = onnx_ir.external_data.convert_tensors_to_external(
            [value.const_value for value in left], path.parent, DATA
        )
        for value, tensor in zip(left, written):
            value.const_value = tensor
    onnx_ir.save(model, str(path))


def is_large(path):
    """Whether the weights that a graph's file refers to are LARGE_BYTES or more.

    Of a file that has more than those, only what the graph takes of it counts: a graph has its own transposed copies
    of weights that are stored for torch, too.
    """
    files = (one for one in path.parent.rglob("*") if one.is_file())
    if sum(one.stat().st_size for one in files) < LARGE_BYTES:
        # Reading a graph of hundreds of megabytes takes a second.
        return False
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    spans = {}
    for tensor in model.graph.initializer:
        where = {entry.key: entry.value for entry in tensor.external_data}
        if "location" in where:
            # Tied weights are the same bytes.
            spans[(where["location"], where.get("offset"))] = int(where["length"])
    return sum(spans.values()) >= LARGE_BYTES


def locations(model):
    """The files that a model's initializers refer to, relative to it."""
    return sorted({entry.value for entry in location_entries(model)})


def location_entries(model):
    """Yield the entry of each initializer that names its file."""
    for tensor in model.graph.initializer:
        yield from (entry for entry in tensor.external_data if entry.key == "location")


class _Stored:
    """The tensors of all safetensors files below a folder."""

    def __init__(self, folder):
        self._folder = folder
        self._tensors = {}
        for file in sorted(folder.rglob("*.safetensors")):
            self._tensors.update(_entries(file))

    def find(self, name, tensor):
        """An onnx_ir.ExternalTensor of the same bytes, or None.

        The names in the graph are those in the file, with the name of a wrapping module before them.
        """
        import onnx_ir

        below = name
        while below not in self._tensors:
            _, dot, below = below.partition(".")
            if not dot:
                return None
        file, offset, length = self._tensors[below]
        ours = np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8)
        if length != ours.nbytes:
            return None
        theirs = np.memmap(str(file), np.uint8, "r", offset, (length,))
        if not np.array_equal(ours, theirs):
            return None
        return onnx_ir.ExternalTensor(
            str(pathlib.PurePosixPath(file.relative_to(self._folder))),
            offset,
            length,
            tensor.dtype,
            shape=tensor.shape,
            name=name,
            base_dir=str(self._folder),
        )


def _entries(file):
    """Name → (file, offset, bytes), from the header: its length as uint64, then JSON."""
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(size))
    header.pop("__metadata__", None)
    spans = {name: entry["data_offsets"] for name, entry in header.items()}
    return {name: (file, 8 + size + start, end - start) for name, (start, end) in spans.items()}
