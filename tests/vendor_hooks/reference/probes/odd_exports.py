"""Exports of one job folder with something put wrong or small; print what became of each."""

import copy
import hashlib
import json
import pathlib
import shutil
import sys
import tempfile
import types

FOLDER = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(FOLDER))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnx_ir  # noqa: E402
import onnxsim  # noqa: E402
import torch  # noqa: E402
from harness.__main__ import main  # noqa: E402
from harness.errors import StageFailure  # noqa: E402
from hook import agreement, graph, stored_weights  # noqa: E402
from onnx.numpy_helper import from_array, to_array  # noqa: E402

OUT = FOLDER / "out"
MODEL = OUT / "model"


def export(**changes):
    """Run the stage with changes to job.json, from an empty out folder; gives the exit status."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    document = json.loads((FOLDER / "job.json").read_text())
    kept = dict(document)
    (FOLDER / "job.json").write_text(json.dumps(dict(document, **changes)))
    try:
        return main(["export", str(FOLDER)])
    finally:
        (FOLDER / "job.json").write_text(json.dumps(kept))


def described():
    """Give export.json."""
    return json.loads((MODEL / "export.json").read_text())


def failure(call, *arguments):
    """Give the failure that a call raises."""
    try:
        call(*arguments)
    except StageFailure as error:
        return {"kind": error.kind, "message": error.message}
    return None


def external():
    """Export with every weight large enough for model.data; then lose and cut that file."""
    limit, graph.EXTERNAL_DATA_BYTES = graph.EXTERNAL_DATA_BYTES, 0
    export()
    graph.EXTERNAL_DATA_BYTES = limit
    model = onnx.load(str(MODEL / "model.onnx"), load_external_data=False)
    data = (MODEL / "model.data").read_bytes()
    found = described()
    found["files"] = sorted(path.name for path in MODEL.iterdir())
    found["locations"] = sorted(
        {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
    )
    found["sha256_of_data"] = hashlib.sha256(data).hexdigest()
    found["data_bytes"] = len(data)
    (MODEL / "model.data").write_bytes(data[:1000])
    cut = failure(agreement.require, MODEL / "model.onnx", [], 1)
    FOUND["large_cut"] = large_cut()
    (MODEL / "model.data").unlink()
    return found, cut, failure(graph.check, MODEL / "model.onnx", 17)


def large_cut():
    """The same of a graph of gigabytes, whose own file is cut short."""
    limit, stored_weights.LARGE_BYTES = stored_weights.LARGE_BYTES, 1
    path = MODEL / "model.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    found = failure(agreement.require, path, [], 1)
    stored_weights.LARGE_BYTES = limit
    path.write_bytes(whole)
    return found


def not_simplified():
    """Export while onnxsim fails."""
    simplify = onnxsim.simplify

    places = [tempfile.gettempdir()]

    def refuse(*_, **__):
        places.append(tempfile.gettempdir())
        raise RuntimeError("no pass for this")

    onnxsim.simplify = refuse
    status = export()
    onnxsim.simplify = simplify
    places.append(tempfile.gettempdir())
    report = json.loads((OUT / "report.json").read_text())
    return {
        "status": status,
        "export": described(),
        "warnings": report["warnings"],
        "places": places,
        "on_disk": pathlib.Path(places[1]).is_relative_to(OUT),
    }


def beyond_two_gigabytes():
    """Export while onnxsim does what it does beyond 2 GB: data beside the graph, under a name by chance."""
    simplify = onnxsim.simplify

    def scatter(path, output_path):
        model, same = simplify(path)
        large = np.arange(1024, dtype=np.float32)
        constant = onnx.helper.make_node("Constant", [], ["large"], value=from_array(large))
        model.graph.node.extend([constant, onnx.helper.make_node("Neg", ["large"], ["unused"])])
        onnx.save_model(
            model,
            output_path,
            save_as_external_data=True,
            location="46b3aece",
            size_threshold=1024,
            convert_attribute=True,
        )
        return None, same

    onnxsim.simplify = scatter
    status = export()
    onnxsim.simplify = simplify
    model = onnx.load(str(MODEL / "model.onnx"))
    held = [node.attribute[0].t for node in model.graph.node if node.output[0] == "large"]
    return {
        "status": status,
        "export": described(),
        "files": sorted(path.name for path in MODEL.iterdir()),
        "constant": to_array(held[0]).tolist()[:3],
        "left": sorted(path.name for path in OUT.iterdir()),
    }


def synthetic():
    """Export synthetic weights, load the folder that was kept, and compare."""
    export(weights="synthetic", weights_format=None)
    from case.model import build

    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        first = build(None, None, True, 0, "eager")(pixels)[0]
        again = build(MODEL / "torch", "huggingface", False, 0, "eager")(pixels)[0]
    return {
        "torch": sorted(path.name for path in (MODEL / "torch").iterdir()),
        "largest_difference": float((first - again).abs().max()),
    }


def where_the_weights_are(changed):
    """Export synthetic weights by the dynamo exporter; give the files that the raw graph refers to."""
    from case import model as case_model

    save, simplify, found = case_model.save, onnxsim.simplify, set()

    def look(path, **options):
        raw = onnx.load(path, load_external_data=False)
        entries = (e for tensor in raw.graph.initializer for e in tensor.external_data)
        found.update(entry.value for entry in entries if entry.key == "location")
        return simplify(path, **options)

    case_model.save = lambda module, folder: save(changed(module, folder), folder)
    onnxsim.simplify = look
    needs = dict(json.loads((FOLDER / "job.json").read_text())["export"], opset=18)
    status = export(weights="synthetic", weights_format=None, export=needs)
    case_model.save, onnxsim.simplify = save, simplify
    return {"status": status, "files": sorted(found), "export": described()}


def copied_nowhere(**weights):
    """Export as a graph with gigabytes of weights; give the files that it refers to, and all that there are."""
    limit, stored_weights.LARGE_BYTES = stored_weights.LARGE_BYTES, 1
    needs = dict(json.loads((FOLDER / "job.json").read_text())["export"], opset=18)
    status = export(export=needs, **weights)
    stored_weights.LARGE_BYTES = limit
    model = onnx.load(str(MODEL / "model.onnx"), load_external_data=False)
    return {
        "status": status,
        "locations": stored_weights.locations(model),
        "files": sorted(str(p.relative_to(MODEL)) for p in MODEL.rglob("*") if p.is_file()),
        "export": described(),
        "sha256": hashlib.sha256(
            (MODEL / stored_weights.locations(model)[-1]).read_bytes()
        ).hexdigest(),
    }


def conversions():
    """Give the nodes of two products in order, each with a weight that is converted and turned behind its input."""
    make = onnx.helper.make_node
    nodes = []
    for number, source in enumerate(("input", "y0")):
        weight, cast, turned = (f"{name}{number}" for name in ("weight", "cast", "turned"))
        nodes += [
            make("Relu", [source], [f"relu{number}"], name=f"relu{number}"),
            make("Cast", [weight], [cast], name=cast, to=onnx.TensorProto.FLOAT),
            make("Transpose", [cast], [turned], name=turned),
            make("MatMul", [f"relu{number}", turned], [f"y{number}"], name=f"y{number}"),
        ]
    weights = [from_array(np.zeros((2, 2), np.float16), f"weight{n}") for n in range(2)]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], [], weights))
    graph.conversions_first(model)
    return [node.name for node in model.graph.node]


def share_of_a_file():
    """Tell whether a graph is large that takes 1,000 bytes of a longer file, by two names, under two limits."""
    folder = MODEL / "share"
    folder.mkdir()
    (folder / "others.data").write_bytes(bytes(10_000))
    tensors = []
    for name in ("one", "tied"):
        tensor = from_array(np.zeros(250, np.float32), name)
        onnx.external_data_helper.set_external_data(tensor, "others.data", 4_000, 1_000)
        tensor.ClearField("raw_data")
        tensors.append(tensor)
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], tensors))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    kept, found = stored_weights.LARGE_BYTES, []
    for stored_weights.LARGE_BYTES in (1_000, 1_001):
        found.append(stored_weights.is_large(folder / "model.onnx"))
    stored_weights.LARGE_BYTES = kept
    return {"large": found}


def value_dependent():
    """Export a model that reads a tensor's value, which torch cannot count."""
    from case import model as case_model

    skeleton = case_model.skeleton

    def reading(attention):
        network = skeleton(attention)
        network.register_forward_pre_hook(lambda _, inputs: inputs[0].sum().item() and None)
        return network

    case_model.skeleton = reading
    status = export()
    case_model.skeleton = skeleton
    return {
        "status": status,
        "export": described(),
        "files": sorted(p.name for p in MODEL.iterdir()),
    }


def traced_once(trace):
    """Give an exporter that traces modules with the same weights once: most of what an export by dynamo takes."""
    kept = {}

    def export(network, *arguments, **options):
        if not options["dynamo"]:
            return trace(network, *arguments, **options)
        values = (value.numpy().tobytes() for value in network.state_dict().values())
        key = hashlib.sha256(b"".join(values)).hexdigest()
        if key not in kept:
            kept[key] = onnx_ir.to_proto(trace(network, *arguments, **options).model)
        return types.SimpleNamespace(model=onnx_ir.from_proto(kept[key]))

    return export


def halved(module, _):
    """Give the module with weights of the same names and sizes that are not those of the graph."""
    other = copy.deepcopy(module)
    for weight in other.parameters():
        weight.data.mul_(0.5)
    return other


export()
FOUND = {"again": {"sha256": described()["onnx_sha256"]}}
FOUND["other_opset"] = failure(graph.check, MODEL / "model.onnx", 18)
PIXELS = {"input": np.zeros((1, 3, 32, 32), np.float32)}
WRONG = {"output": np.eye(1, 10, dtype=np.float32)}
FOUND["disagrees"] = failure(agreement.require, MODEL / "model.onnx", [(PIXELS, WRONG)], 1)
FOUND["external"], FOUND["data_cut"], FOUND["data_missing"] = external()
FOUND["share_of_a_file"] = share_of_a_file()
FOUND["not_simplified"] = not_simplified()
FOUND["beyond"] = beyond_two_gigabytes()
FOUND["synthetic"] = synthetic()
FOUND["value_dependent"] = value_dependent()
torch.onnx.export = traced_once(torch.onnx.export)
FOUND["stored"] = where_the_weights_are(lambda module, _: module)
FOUND["stored_others"] = where_the_weights_are(halved)
FOUND["conversions"] = {"names": conversions()}
FOUND["large"] = copied_nowhere()
FOUND["large_saved"] = copied_nowhere(weights="synthetic", weights_format=None)
print(json.dumps(FOUND))  # noqa: T201
