"""An ONNX graph in bfloat16: what ONNX Runtime's converter cast to fp16, with bfloat16 in its place.

The converter (onnxruntime.transformers.float16) knows fp16 only. It decides which tensors are cast; their values are
taken from the fp32 graph, since fp16 would cut off what bfloat16 holds. A tensor is known by its path: where its
graph, node and attribute are. The converter appends nodes, and moves none.
"""

import numpy as np
from harness.engines.trt.datatypes import narrowed

#: Before 22, many operators (Conv, pooling) have no bfloat16: https://onnx.ai/onnx/operators/, type constraints.
OPSET = 22


def with_opset(model):
    """Return the model in an opset whose operators take bfloat16; external weights need not be loaded."""
    from onnx import version_converter

    versions = {one.domain: one.version for one in model.opset_import}
    return model if versions[""] >= OPSET else version_converter.convert_version(model, OPSET)


def float_tensors(model):
    """Return path → bits of bfloat16 (uint16) of every float32 tensor: weights, and constants of nodes."""
    from onnx import TensorProto, numpy_helper

    return {
        path: narrowed(numpy_helper.to_array(tensor))
        for path, tensor in _tensors(model.graph, ())
        if tensor.data_type == TensorProto.FLOAT
    }


def retype(model, bits):
    """Make bfloat16 of everything that is fp16 in the model; ``bits`` is float_tensors of the fp32 graph."""
    from onnx import TensorProto

    for path, tensor in _tensors(model.graph, ()):
        if tensor.data_type == TensorProto.FLOAT16:
            _retype_tensor(tensor, bits.get(path))
    for graph in _graphs(model.graph):
        for info in (*graph.input, *graph.output, *graph.value_info):
            _retype_info(info.type)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT16:
                    attribute.i = TensorProto.BFLOAT16


def _retype_tensor(tensor, bits):
    from onnx import TensorProto, numpy_helper

    if bits is None:  # the converter's own: the zero of a ConstantOfShape
        bits = narrowed(numpy_helper.to_array(tensor).astype(np.float32))
    tensor.ClearField("int32_data")
    tensor.data_type = TensorProto.BFLOAT16
    tensor.raw_data = bits.astype("<u2").tobytes()


def _retype_info(kind):
    from onnx import TensorProto

    if kind.HasField("sequence_type"):
        _retype_info(kind.sequence_type.elem_type)
    elif kind.HasField("tensor_type") and kind.tensor_type.elem_type == TensorProto.FLOAT16:
        kind.tensor_type.elem_type = TensorProto.BFLOAT16


def _graphs(graph):
    """Yield a graph and those inside its nodes."""
    yield graph
    for _, attribute in _attributes(graph, ()):
        for inner in _inner(attribute):
            for each in _graphs(inner):
                yield each


def _tensors(graph, path):
    """Yield (path, TensorProto) of a graph and of those inside its nodes."""
    for index, tensor in enumerate(graph.initializer):
        yield path + ("initializer", index), tensor
    for own, attribute in _attributes(graph, path):
        for index, tensor in enumerate(_values(attribute)):
            yield own + ("value", index), tensor
        for index, inner in enumerate(_inner(attribute)):
            for each in _tensors(inner, own + ("graph", index)):
                yield each


def _attributes(graph, path):
    for index, node in enumerate(graph.node):
        for attribute in node.attribute:
            yield path + (index, attribute.name), attribute


# By type: the converter sets fields of other types, to nothing.
def _values(attribute):
    from onnx import AttributeProto

    if attribute.type == AttributeProto.TENSOR:
        return [attribute.t]
    return list(attribute.tensors) if attribute.type == AttributeProto.TENSORS else []


def _inner(attribute):
    from onnx import AttributeProto

    if attribute.type == AttributeProto.GRAPH:
        return [attribute.g]
    return list(attribute.graphs) if attribute.type == AttributeProto.GRAPHS else []
