"""What the nodes of an ONNX graph compute in: the types of their inputs and outputs."""

import collections

COMPUTING = ("Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul")


def computing(path):
    """Return (arithmetic → number of computing nodes, "" or why it is not known) of a graph's file."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    types = _types(graph)
    # Without a cast, whatever is floating-point in an exported graph is float32.
    cast = any(kind in ("fp16", "bf16") for kind in types.values())
    counts = collections.Counter()
    for node in graph.node:
        if node.op_type in COMPUTING:
            known = (types.get(name) for name in node.input)
            counts[next(filter(None, known), None if cast else "fp32")] += 1
    if counts[None]:
        return {}, "the types of {} nodes of the graph are not known".format(counts[None])
    if not +counts:
        return {}, "no node of the graph is known to compute"
    return dict(+counts), ""


def whole_number_nodes(path):
    """Return the names of the nodes whose outputs are all whole numbers or truth values: those of shapes, and masks."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    graph = onnx.shape_inference.infer_shapes(model).graph
    infos = [*graph.input, *graph.output, *graph.value_info]
    kinds = {info.name: info.type.tensor_type.elem_type for info in infos}
    whole = {onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.BOOL}
    return {
        node.name
        for node in graph.node
        if node.name and all(kinds.get(name) in whole for name in node.output if name)
    }


def _types(graph):
    """Name → arithmetic of its element type, of what the graph states."""
    from onnx import TensorProto

    names = {
        TensorProto.FLOAT: "fp32",
        TensorProto.FLOAT16: "fp16",
        TensorProto.BFLOAT16: "bf16",
    }
    infos = [*graph.input, *graph.output, *graph.value_info]
    found = {info.name: info.type.tensor_type.elem_type for info in infos}
    found.update({tensor.name: tensor.data_type for tensor in graph.initializer})
    return {name: names[kind] for name, kind in found.items() if kind in names}
