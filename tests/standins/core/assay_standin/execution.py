"""Runs a Program through ONNX Runtime on the CPU, with the faults that were asked for."""

import numpy as np

from assay_standin import bfloat16, faults, settings
from assay_standin.precision import ROUNDING


class Execution:
    """One loaded program. Inputs and float outputs are rounded to the program's precision."""

    def __init__(self, program):
        faults.strike("load")
        self._round = ROUNDING[program.header["precision"]]
        self._session = _session(program)
        self._brain = set(program.header.get("bfloat16", ()))
        self.inputs = [self._port(node) for node in self._session.get_inputs()]
        self.outputs = [self._port(node) for node in self._session.get_outputs()]

    def run(self, feeds):
        """Return the outputs, in order, of a dict name → array; of bfloat16 both are the bits, uint16."""
        faults.strike("infer")
        wide = {n: bfloat16.widened(a) if n in self._brain else a for n, a in feeds.items()}
        lowered = {name: self._lower(array) for name, array in wide.items()}
        names = [port[0] for port in self.outputs]
        arrays = [self._lower(array) for array in self._session.run(names, lowered)]
        spoilt = zip(names, faults.spoil(arrays))
        return [bfloat16.narrowed(a) if name in self._brain else a for name, a in spoilt]

    def _port(self, node):
        name, dtype, dims = _port(node)
        return name, bfloat16.DTYPE if name in self._brain else dtype, dims

    def _lower(self, array):
        return self._round(array) if array.dtype == np.float32 else array


def _port(node):
    """Return (name, dtype, dims); a dynamic dimension is its name or None."""
    dtypes = {
        "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64",
        "tensor(int32)": "int32", "tensor(uint8)": "uint8", "tensor(bool)": "bool",
    }  # fmt: skip
    return node.name, np.dtype(dtypes[node.type]), tuple(node.shape)


def _session(program):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads()
    options.log_severity_level = 3
    if program.header["precision"] == "fp8":
        # ONNX Runtime 1.31 makes kernels for int8 of the quantizers, and then refuses float8 there.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    for name, size in program.header.get("free_dimensions", {}).items():
        options.add_free_dimension_override_by_name(name, size)
    graph, keep = program.graph, []
    if hasattr(options, "add_external_initializers"):
        keep = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for _, array in program.weights]
        if keep:
            options.add_external_initializers([name for name, _ in program.weights], keep)
    else:
        graph = _inline(program)
    provider = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(graph, options, providers=provider)


def _inline(program):
    """Put the weights back into the graph, for ONNX Runtime before 1.12 (models under 2 GB)."""
    from assay_standin import onnx_file, wire

    arrays = dict(program.weights)
    out = []
    for number, _, value, begin, end in wire.fields(memoryview(program.graph)):
        if number != 7:
            out.append(program.graph[begin:end])
            continue
        graph = []
        for inner, _, message, start, stop in wire.fields(value):
            graph.append(_inlined(inner, message, arrays) or bytes(value[start:stop]))
        out.append(wire.bytes_field(7, b"".join(graph)))
    data = b"".join(out)
    if len(data) >= 1 << 31:
        raise onnx_file.OnnxError("over 2 GB: this needs ONNX Runtime 1.12 or later")
    return data


def _inlined(number, message, arrays):
    from assay_standin import wire

    if number != 5:
        return None
    kept = [(n, message[b:e], v) for n, _, v, b, e in wire.fields(message) if n not in (13, 14)]
    name = next(bytes(value).decode() for n, _, value in kept if n == 8)
    if name not in arrays:
        return None
    body = b"".join(bytes(span) for _, span, _ in kept)
    return wire.bytes_field(5, body + wire.bytes_field(9, arrays[name].tobytes()))
