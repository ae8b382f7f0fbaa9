"""Opens a graph with ONNX Runtime's genuine CUDA provider, over libraries that compute nothing (bindings/cuda_stub.c).

argv: the graph, and the provider's options as JSON. Prints one JSON document: version and cuda of the package;
options: as the session states them; placed: provider → operator → nodes; bound: where an input and an output were,
and the output's shape; uneven: why an array of another size was refused; or failure: what ended it.
"""

import collections
import json
import sys

import numpy as np
import onnxruntime
from onnxruntime.capi import build_and_package_info

CUDA = "CUDAExecutionProvider"


def opened(graph, options):
    """Return a session as the harness opens it."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return onnxruntime.InferenceSession(
        graph, settings, providers=[(CUDA, options)], enable_fallback=0
    )


def bound(session):
    """Return where values are that are bound to the device, and why one of another size is refused."""
    port, output = session.get_inputs()[0], session.get_outputs()[0]
    array = np.ones(port.shape, np.float32)
    value = onnxruntime.OrtValue.ortvalue_from_numpy(array, "cuda", 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input(port.name, value)
    binding.bind_output(output.name, "cuda", 0)
    value.update_inplace(array)
    binding.synchronize_inputs()
    session.run_with_iobinding(binding)
    binding.synchronize_outputs()
    found = binding.get_outputs()[0]
    document = {"bound": [value.device_name(), found.device_name(), list(found.numpy().shape)]}
    try:
        value.update_inplace(array[:1])
    except RuntimeError as error:
        document["uneven"] = str(error)
    return document


def main():
    """Open, count, bind."""
    try:
        session = opened(sys.argv[1], json.loads(sys.argv[2]))
    except Exception as error:  # whatever it raises is what the test reads
        return {"failure": [type(error).__name__, " ".join(str(error).split())]}
    placed = collections.defaultdict(collections.Counter)
    for subgraph in session.get_provider_graph_assignment_info():
        placed[subgraph.ep_name].update(node.op_type for node in subgraph.get_nodes())
    return {
        "version": onnxruntime.__version__,
        "cuda": build_and_package_info.cuda_version,
        "options": session.get_provider_options().get(CUDA),
        "placed": placed,
        **bound(session),
    }


sys.stdout.write(json.dumps(main()) + "\n")
