"""The exported graph: simplified, cleaned, written as one model.onnx with at most one model.data.

ByteSize() is not used, since it fails beyond 2 GB; sizes are the sums of the tensors' bytes.
"""

import contextlib
import tempfile

from harness.errors import StageFailure, one_line
from hook import onnx_export, stored_weights, token_graph

MODEL, DATA = "model.onnx", "model.data"

#: Weights of this size or more go to model.data: protobuf is limited to 2 GB, and engines can map a file.
EXTERNAL_DATA_BYTES = 1 << 30


def finish(job, raw, folder):
    """Simplify raw/raw.onnx into ``folder``.

    Returns (simplified, reason); ``reason`` is "" or says why the graph was not simplified.
    """
    import onnx

    path = raw / onnx_export.RAW_NAME
    reason = "the engine's manifest asks for the graph as exported"
    model = None
    large = stored_weights.is_large(path)
    # onnx would append to an existing data file.
    for name in (MODEL, DATA):
        if (folder / name).exists():
            (folder / name).unlink()
    if large:
        reason = "beyond {} GiB of weights a graph is used as exported".format(
            stored_weights.LARGE_BYTES >> 30
        )
        model = onnx.load(str(path), load_external_data=False)
        _move_data(model, raw, folder)
        conversions_first(model)
    elif job.document["export"]["simplify"]:
        model, reason = _simplified(path, folder)
    if model is None:
        model = onnx.load(str(path))
    _strip(model)
    _declare_shapes(model, job)
    # The oldest file format for this opset, since vendors' parsers are as old as their SDKs.
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    _write(model, folder)
    return not reason, reason


def check(path, opset):
    """Run onnx's checker on the file (required beyond 2 GB), and check the opset, which exporters may ignore.

    Returns the opset. Raises StageFailure (export).
    """
    import onnx

    try:
        onnx.checker.check_model(str(path))
    except (onnx.checker.ValidationError, ValueError) as error:
        message = "onnx.checker rejects the exported graph: {}".format(one_line(error))
        raise StageFailure(
            "export", message, "this is a bug in the case or in the exporter; report it"
        ) from error
    model = onnx.load(str(path), load_external_data=False)
    found = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if found != {"ai.onnx": opset}:
        message = "the graph uses opsets {}, but the engine asks for {}".format(found, opset)
        raise StageFailure(
            "export", message, "in vendor.toml, ask for an opset that the exporter can write"
        ) from None
    return opset


def versions():
    """Versions of the packages that process the graph."""
    import onnx
    import onnxruntime
    import onnxsim

    return {
        "onnx": onnx.__version__,
        "onnxsim": onnxsim.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def weights_bytes(model):
    """Bytes of all initializers within the model."""
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def _simplified(path, folder):
    """Return (model, ""), or (None, the reason).

    Beyond 2 GB, the weights are then in ``folder``/model.data, and the model refers to them.
    """
    import onnx

    written = path.parent / "simplified"
    written.mkdir()
    try:
        import onnxsim

        # Its temporary files would be in memory in a container, whose /tmp is a tmpfs.
        with _temporary_files_in(written):
            _, same = onnxsim.simplify(str(path), output_path=str(written / MODEL))
    except MemoryError:
        raise
    except (
        Exception
    ) as error:  # onnxsim raises whatever its passes raise; the raw graph can still be used
        return None, "onnxsim failed: {}".format(one_line(error))
    if not same:
        return None, "the graph simplified by onnxsim computes different outputs"
    model = onnx.load(str(written / MODEL), load_external_data=False)
    _take_data(model, written, folder)
    return model, ""


def _take_data(model, written, folder):
    """Move the data file, which has a random name from onnxsim, to its place."""
    entries = [
        entry
        for tensor in _tensors(model.graph)
        for entry in tensor.external_data
        if entry.key == "location"
    ]
    for name in {entry.value for entry in entries}:
        (written / name).replace(folder / DATA)
    for entry in entries:
        entry.value = DATA


def _move_data(model, raw, folder):
    """Move the weights that were written beside the raw graph to ``folder``/model.data; others stay where they are."""
    if (raw / stored_weights.DATA).is_file():
        (raw / stored_weights.DATA).replace(folder / DATA)
    for entry in stored_weights.location_entries(model):
        entry.value = DATA if entry.value == stored_weights.DATA else entry.value


def conversions_first(model):
    """Put the nodes that only convert or turn a weight before all others.

    ONNX Runtime orders nodes from the outputs on, and visits the later one of a node's inputs first. With a weight's
    conversion behind the activations that it is multiplied with, half of all weights were in fp32 before the first
    product; with the conversion before them, each is when it is needed.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    first, others = [], []
    for node in model.graph.node:
        converts = node.op_type in ("Cast", "Transpose") and known.issuperset(node.input)
        if converts:
            known.update(node.output)
        (first if converts else others).append(node)
    del model.graph.node[:]
    model.graph.node.extend(first + others)


def _tensors(graph):
    """Yield all tensors of a graph: initializers, attributes of its nodes, and those of nested graphs."""
    yield from graph.initializer
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        yield attribute.t
        yield from attribute.tensors
        for inner in [attribute.g, *attribute.graphs]:
            yield from _tensors(inner)


@contextlib.contextmanager
def _temporary_files_in(folder):
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _strip(model):
    """Remove texts for people: with paths of this machine, the file would differ between machines."""
    for owner in [model, model.graph, *model.graph.node, *model.graph.initializer]:
        owner.doc_string = ""
        del owner.metadata_props[:]
    del model.graph.value_info[:]
    used = {node.domain for node in model.graph.node}
    kept = [entry for entry in model.opset_import if (entry.domain or "") in used | {""}]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _declare_shapes(model, job):
    """Name the batch axis, and set all other sizes of inputs and outputs as in case.toml."""
    if job.generation is not None:
        _declare_token_shapes(model, job)
        return
    names = onnx_export.batch_names(job.inputs + job.outputs)
    for values, specs in ((model.graph.input, job.inputs), (model.graph.output, job.outputs)):
        found = [value.name for value in values]
        if found != [spec.name for spec in specs]:
            message = "the graph has {}, but case.toml declares {}".format(
                found, [s.name for s in specs]
            )
            raise StageFailure("export", message, "fix model.py or case.toml of the case")
        for value, spec in zip(values, specs):
            shape = value.type.tensor_type.shape
            del shape.dim[:]
            if spec.batched and onnx_export.is_static(job):
                shape.dim.add().dim_value = job.batch_size * spec.rows_per_item
            elif spec.batched:
                shape.dim.add().dim_param = names[spec.rows_per_item]
            for size in spec.shape:
                shape.dim.add().dim_value = size


def _declare_token_shapes(model, job):
    for values, shapes in zip((model.graph.input, model.graph.output), token_graph.shapes(job)):
        if [value.name for value in values] != list(shapes):
            raise StageFailure(
                "export",
                "the graph has {}, expected {}".format([v.name for v in values], list(shapes)),
                "the case's module must take and return the past as docs/contract.md says",
            )
        for value in values:
            shape = value.type.tensor_type.shape
            del shape.dim[:]
            for size in shapes[value.name]:
                place = shape.dim.add()
                if isinstance(size, str):
                    place.dim_param = size
                else:
                    place.dim_value = size


def _write(model, folder):
    """Write ``folder``/model.onnx, and model.data if the model has a gigabyte of weights or more."""
    import onnx

    options = (
        {
            "save_as_external_data": True,
            "all_tensors_to_one_file": True,
            "location": DATA,
            "size_threshold": stored_weights.EXTERNAL_TENSOR_BYTES,
        }
        if weights_bytes(model) >= EXTERNAL_DATA_BYTES
        else {}
    )
    onnx.save_model(model, str(folder / MODEL), **options)
    for name in (MODEL, DATA):
        if (folder / name).exists():
            # onnx makes the data file readable for its owner only; other stages may run as other users.
            (folder / name).chmod(0o644)
