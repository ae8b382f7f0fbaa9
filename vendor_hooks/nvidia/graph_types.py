"""What the nodes of an ONNX graph that do a model's arithmetic compute in: the types of their inputs."""

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
