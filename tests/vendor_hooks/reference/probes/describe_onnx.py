"""Print what stands in ONNX files: opsets, shapes, external data, leftovers of the exporter."""

import json
import sys

import onnx


def shape(value):
    """Give the sizes of a value, names for symbolic ones."""
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def describe(path):
    """Describe one file; it is checked on the way."""
    onnx.checker.check_model(path)
    model = onnx.load(path, load_external_data=False)
    external = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return {
        "opsets": {entry.domain: entry.version for entry in model.opset_import},
        "ir_version": model.ir_version,
        "inputs": {value.name: shape(value) for value in model.graph.input},
        "outputs": {value.name: shape(value) for value in model.graph.output},
        "nodes": len(model.graph.node),
        "metadata": sum(len(node.metadata_props) for node in model.graph.node),
        "external": sorted(external),
    }


print(json.dumps([describe(path) for path in sys.argv[1:]]))  # noqa: T201
