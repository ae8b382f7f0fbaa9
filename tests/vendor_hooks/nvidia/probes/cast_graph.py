"""Casts a graph to fp16 or bf16 as the hook does, and prints what came out.

argv: the hook's folder, a folder to write to, the precision. The graph has a LayerNorm of single operators, whose
square overflows fp16, the sine of a position times a frequency, as of a timestep or a rotary embedding, and weights
beside its file; for bf16, factors that no fp16 number holds, too.
"""

import hashlib
import json
import sys
import types
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

HOOKS, FOLDER, PRECISION = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
#: Three times this is more than 255, whose square no fp16 number holds.
SCALE = 100.0


def layers():
    """Return nodes and initializers: LayerNorm, then a product; for bf16, times 1e6 and, by a Constant, 1e-6."""
    wide = PRECISION == "bf16"
    product = "product" if wide else "unscaled"
    weights = np.random.RandomState(0).randn(64, 32).astype(np.float32) / 8
    constants = {
        "two": np.float32(2),
        "epsilon": np.float32(1e-6),
        "weights": weights,
        "position": np.float32(1000),
        "frequency": np.float32(0.7613),
    }
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[-1]),
        # A second operator that needs the same tensor in fp32.
        helper.make_node("ReduceMean", ["input"], ["again"], axes=[-1]),
        helper.make_node("Add", ["mean", "again"], ["twice"]),
        helper.make_node("Div", ["twice", "two"], ["middle"]),
        helper.make_node("Sub", ["input", "middle"], ["centred"]),
        helper.make_node("Pow", ["centred", "two"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["variance"], axes=[-1]),
        helper.make_node("Add", ["variance", "epsilon"], ["safe"]),
        helper.make_node("Sqrt", ["safe"], ["deviation"]),
        helper.make_node("Div", ["centred", "deviation"], ["normal"]),
        helper.make_node("MatMul", ["normal", "weights"], [product]),
    ]
    if wide:
        constants["huge"] = np.float32(1e6)
        tiny = numpy_helper.from_array(np.asarray(1e-6, np.float32))
        nodes += [
            helper.make_node("Constant", [], ["tiny"], value=tiny),
            helper.make_node("Mul", ["product", "huge"], ["scaled"]),
            helper.make_node("Mul", ["scaled", "tiny"], ["unscaled"]),
        ]
    nodes += [
        helper.make_node("Mul", ["position", "frequency"], ["angle"]),
        helper.make_node("Sin", ["angle"], ["wave"]),
        helper.make_node("Add", ["unscaled", "wave"], ["logits"]),
    ]
    return nodes, [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]


def write(path):
    """Write the graph with its weights in model.data."""
    nodes, initializers = layers()
    graph = helper.make_graph(
        nodes,
        "layernorm",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 4, 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4, 32])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    onnx.save_model(
        model, str(path), save_as_external_data=True, location="model.data", size_threshold=64
    )


def compute(path, array):
    """Return the output of a graph; ONNX Runtime's CPU provider has no kernels of bfloat16."""
    if PRECISION == "bf16":
        return ReferenceEvaluator(str(path)).run(None, {"input": array})[0]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": array})[0]


def problem(path):
    """Return what ONNX's own checker says against a graph: types that its operators do not take, too."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return str(error)
    return ""


def main():
    """Write, cast, compare."""
    (FOLDER / "hook").symlink_to(HOOKS / "nvidia")
    (FOLDER / "harness").symlink_to(HOOKS / "harness")
    sys.path.insert(0, str(FOLDER))
    from hook import trt_cast

    for name in ("model", "cache"):
        (FOLDER / name).mkdir()
    source = FOLDER / "model" / "model.onnx"
    write(source)
    job = types.SimpleNamespace(precision=PRECISION, onnx_path=source, cache_dir=FOLDER / "cache")
    with trt_cast.graph(job, (11, 1)) as path:
        files = {
            one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in path.parent.iterdir()
        }
        model, problem_found = onnx.load(str(path)), problem(path)
        array = (np.random.RandomState(1).randn(3, 4, 64) * SCALE).astype(np.float32)
        exact, cast = compute(source, array), compute(path, array)
    ports = (*model.graph.input, *model.graph.output)
    document = {
        "files": files,
        "ports": [one.type.tensor_type.elem_type for one in ports],
        "weights": {one.name: one.data_type for one in model.graph.initializer},
        "constants": [
            one.t.data_type
            for node in model.graph.node
            if node.op_type == "Constant"
            for one in node.attribute
        ],
        "casts": sorted(
            {one.i for n in model.graph.node for one in n.attribute if one.name == "to"}
        ),
        "problem": problem_found,
        "error": float(np.abs(cast - exact).max()),
        "finite": bool(np.isfinite(cast).all()),
        "left": sorted(
            one.name for name in ("cache", "model") for one in (FOLDER / name).iterdir()
        ),
    }
    sys.stdout.write(json.dumps(document) + "\n")


main()
