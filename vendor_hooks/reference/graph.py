"""The exported graph: simplified, cleaned, written as one model.onnx with at most one model.data.

ByteSize() is never called: it fails beyond 2 GB. Sizes are sums of the tensors' own bytes.
"""

import contextlib
import tempfile

from harness.errors import StageFailure, one_line
from hook import onnx_export, stored_weights

MODEL, DATA = "model.onnx", "model.data"

#: From here on weights go to model.data: protobuf ends at 2 GB, and engines can map a file.
EXTERNAL_DATA_BYTES = 1 << 30


def finish(job, raw, folder):
    """Simplify raw/raw.onnx into ``folder``.

    Returns (simplified, reason); ``reason`` is "" or says why the graph was not simplified.
    """
    import onnx

    path = raw / onnx_export.RAW_NAME
    reason = "the engine's manifest asks for the graph as exported"
    model = None
    # onnx appends to a data file that is there already.
    for name in (MODEL, DATA):
        if (folder / name).exists():
            (folder / name).unlink()
    if job.document["export"]["simplify"]:
        model, reason = _simplified(path, folder)
    if model is None:
        model = onnx.load(str(path))
    _strip(model)
    _declare_shapes(model, job)
    # The oldest file format that may hold this opset: vendors' parsers are as old as their SDK.
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    _write(model, folder)
    return not reason, reason


def check(path, opset):
    """The checker, from the file (beyond 2 GB it must be), and the opset, which exporters may ignore.

    Returns the opset. Raises StageFailure (export).
    """
    import onnx

    try:
        onnx.checker.check_model(str(path))
    except (onnx.checker.ValidationError, ValueError) as error:
        message = "onnx.checker refuses the exported graph: {}".format(one_line(error))
        raise StageFailure(
            "export", message, "this is a fault of the case or the exporter"
        ) from error
    model = onnx.load(str(path), load_external_data=False)
    found = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if found != {"ai.onnx": opset}:
        message = "the graph uses opsets {}, the engine asks for {}".format(found, opset)
        raise StageFailure(
            "export", message, "ask for an opset that the exporter can write"
        ) from None
    return opset


def versions():
    """Versions of what finishes the graph."""
    import onnx
    import onnxruntime
    import onnxsim

    return {
        "onnx": onnx.__version__,
        "onnxsim": onnxsim.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def weights_bytes(model):
    """Bytes of all initializers held in the model."""
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def _simplified(path, folder):
    """(model, "") or (None, why not).

    Beyond 2 GB the weights then lie in ``folder``/model.data already, and the model refers to them.
    """
    import onnx

    written = path.parent / "simplified"
    written.mkdir()
    try:
        import onnxsim

        # What it writes beside its output would lie in memory in a container's /tmp.
        with _temporary_files_in(written):
            _, same = onnxsim.simplify(str(path), output_path=str(written / MODEL))
    except MemoryError:
        raise
    except (
        Exception
    ) as error:  # onnxsim raises whatever its passes raise; the raw graph still serves
        return None, "onnxsim failed: {}".format(one_line(error))
    if not same:
        return None, "onnxsim's result gave other outputs"
    model = onnx.load(str(written / MODEL), load_external_data=False)
    _take_data(model, written, folder)
    return model, ""


def _take_data(model, written, folder):
    """Move the data file, which onnxsim named by chance, to its place."""
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


def _tensors(graph):
    """All tensors of a graph: initializers, attributes of its nodes, and those of graphs within them."""
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
    """Remove what is for people: paths of this machine in it would make every file another one."""
    for owner in [model, model.graph, *model.graph.node, *model.graph.initializer]:
        owner.doc_string = ""
        del owner.metadata_props[:]
    del model.graph.value_info[:]
    used = {node.domain for node in model.graph.node}
    kept = [entry for entry in model.opset_import if (entry.domain or "") in used | {""}]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _declare_shapes(model, job):
    """Name the batch axis and state all other sizes of inputs and outputs, as case.toml has them."""
    names = onnx_export.batch_names(job.inputs + job.outputs)
    for values, specs in ((model.graph.input, job.inputs), (model.graph.output, job.outputs)):
        found = [value.name for value in values]
        if found != [spec.name for spec in specs]:
            message = "the graph has {}, case.toml declares {}".format(
                found, [s.name for s in specs]
            )
            raise StageFailure("export", message, "mend model.py or case.toml of the case")
        for value, spec in zip(values, specs):
            shape = value.type.tensor_type.shape
            del shape.dim[:]
            if spec.batched and onnx_export.is_static(job):
                shape.dim.add().dim_value = job.batch_size * spec.rows_per_item
            elif spec.batched:
                shape.dim.add().dim_param = names[spec.rows_per_item]
            for size in spec.shape:
                shape.dim.add().dim_value = size


def _write(model, folder):
    """Write ``folder``/model.onnx, and model.data where the model itself holds a gigabyte of weights."""
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
            # onnx leaves the data file to its owner alone; other stages may run as somebody else.
            (folder / name).chmod(0o644)
