"""Print what quantizers a graph in fp8 has, and how right it is on all digits, beside the fp32 graph.

argv: the case's folder, the folder with model.onnx and model.fp8.onnx.
"""

import collections
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from PIL import Image

SIDE, LARGEST = 32, 448


def picture(path):
    """Preprocess as case.toml says."""
    pixels = np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.BILINEAR))
    return ((pixels.astype(np.float32) / 255 - 0.5) / 0.5).transpose(2, 0, 1)


def infer(path, items):
    """Return the logits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: items})[0]


def quantizers(model):
    """Describe the quantizers, and what multiplies with and without them."""
    tensors = {one.name: one for one in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    zeros = [tensors[node.input[2]] for node in nodes]
    scales = [numpy_helper.to_array(tensors[node.input[1]]) for node in nodes]
    weights = [
        (numpy_helper.to_array(tensors[node.input[0]]), scale)
        for node, scale in zip(nodes, scales, strict=True)
        if node.input[0] in tensors
    ]
    again = {n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    products = [n for n in model.graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    whole = [n for n in products if again.issuperset(n.input[:2])]
    return {
        "zero_types": sorted({zero.data_type for zero in zeros}),
        "zero_bytes": sorted({byte for zero in zeros for byte in zero.raw_data}),
        "shapes": sorted({scale.shape for scale in scales} | {tuple(z.dims) for z in zeros}),
        "weights": len(weights),
        "largest": [float(np.abs(array).max() / scale) for array, scale in weights],
        "quantized": collections.Counter(node.op_type for node in whole),
        "plain": collections.Counter(n.op_type for n in products if n not in whole),
    }


def main():
    """Compare the two graphs."""
    case, folder = map(pathlib.Path, sys.argv[1:])
    paths = sorted((case / "data").rglob("*.png"))
    items = np.stack([picture(path) for path in paths])
    labels = np.array([int(path.parent.name) for path in paths])
    model = onnx.load(str(folder / "model.fp8.onnx"))
    exact, rounded = (infer(folder / name, items) for name in ("model.onnx", "model.fp8.onnx"))
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(rounded, axis=1)
    return {
        **quantizers(model),
        "opset": model.opset_import[0].version,
        "items": len(paths),
        "right": {
            name: int((logits.argmax(1) == labels).sum())
            for name, logits in (("fp32", exact), ("fp8", rounded))
        },
        "cosine_min": float(((exact * rounded).sum(1) / lengths).min()),
    }


sys.stdout.write(json.dumps(main()) + "\n")
