"""Counts the multiply-accumulates of one item from the exported graph, where torch cannot count the model.

torch counts on the meta device, where a model that reads a tensor's value (``Tensor.item()``) fails. Here
the graph runs once with one item, and tells the sizes that its products then have. Nodes within loops and
branches are not counted.
"""

from math import prod

from hook import module, onnx_export, token_graph

SCOPE = "one item; matrix products and convolutions of the exported graph, without those in loops"
COUNTED = ("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum")


def count(path, job):
    """The multiply-accumulates of one item of the model at ``path``; a file beside it is made and removed."""
    import onnx
    import onnxruntime

    model = onnx.load(str(path), load_external_data=False)
    nodes = [node for node in model.graph.node if node.op_type in COUNTED and node.input[1:]]
    names = sorted({name for node in nodes for name in [*node.input[:2], node.output[0]]})
    del model.graph.output[:]
    for name in names:
        sizes = name + ".sizes"
        model.graph.node.append(onnx.helper.make_node("Shape", [name], [sizes]))
        model.graph.output.append(
            onnx.helper.make_tensor_value_info(sizes, onnx.TensorProto.INT64, [None])
        )
    counted = path.with_name("counted.onnx")
    try:
        onnx.save_model(model, str(counted))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        session = onnxruntime.InferenceSession(str(counted), options, ["CPUExecutionProvider"])
        found = session.run(None, _one_item(job))
    finally:
        counted.unlink()
    sizes = {name: array.tolist() for name, array in zip(names, found)}
    return sum(_of_node(node, sizes) for node in nodes) // _items(job)


def _items(job):
    """How many items the graph takes at once."""
    return job.batch_size if job.document["export"]["batch"] == "static" else 1


def _one_item(job):
    if job.generation is not None:
        examples = token_graph.one_token(job, _items(job), "cpu")
    else:
        examples = module.example_inputs(job, _items(job))
    names = onnx_export.names(job)[0]
    return {name: example.numpy() for name, example in zip(names, examples)}


def _of_node(node, sizes):
    """One node's multiply-accumulates."""
    left, right, made = (sizes[name] for name in (*node.input[:2], node.output[0]))
    if node.op_type in ("MatMul", "Gemm"):
        transposed = any(one.name == "transA" and one.i for one in node.attribute)
        return prod(made) * left[0 if transposed else -1]
    if node.op_type == "Conv":
        # The weight is [channels out, channels in / groups, kernel …].
        return prod(made) * prod(right[1:])
    if node.op_type == "ConvTranspose":
        # The weight is [channels in, channels out / groups, kernel …].
        return prod(left) * prod(right[1:])
    return _of_einsum(node, left, right)


def _of_einsum(node, left, right):
    (equation,) = [one.s.decode() for one in node.attribute if one.name == "equation"]
    first, second = equation.replace(" ", "").split("->")[0].split(",")
    return prod({**dict(zip(first, left)), **dict(zip(second, right))}.values())
