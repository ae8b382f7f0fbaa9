"""Casts the exported fp32 graph to fp16 or bf16, for what computes in the types of the graph.

That is TensorRT 11, and ONNX Runtime's CUDA provider. TensorRT 10 and older choose between these and fp32 themselves
(BuilderFlag.FP16, BF16). ONNX Runtime's converter does the casting. Inputs, outputs and a few operators stay in fp32. The same graph always gives the same bytes.
"""

import contextlib
import shutil

from harness.errors import StageFailure
from hook import bf16_graph, trt_release

#: Kept in fp32 beyond what the converter keeps: a LayerNorm of single operators squares its input, and the
#: square of more than 255 is no fp16 number.
FP32_OPERATORS = ("Pow", "ReduceMean")
PRECISIONS = ("fp16", "bf16")
#: Smaller tensors stay in the file of the graph.
EXTERNAL_FROM_BYTES = 1024


def is_needed(job, version):
    """Tell whether a precision is in the graph for this release, instead of in a flag."""
    return job.precision in PRECISIONS and trt_release.is_strongly_typed(version)


def converter():
    """Return name and version of the converter: another one may make another graph."""
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing(error) from error
    return "onnxruntime {}".format(onnxruntime.__version__)


@contextlib.contextmanager
def graph(job, version):
    """Yield the path of the graph to parse: the exported one, or its cast copy, which is removed afterwards."""
    if not is_needed(job, version):
        yield job.graph_path
        return
    folder = job.cache_dir / "cast"
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield cast(job.onnx_path, folder, job.precision)
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def cast(source, folder, precision, keep=True):
    """Write ``source`` in fp16 or bf16 to ``folder``/model.onnx and model.data; return the path.

    ``keep`` has the names of inputs and outputs that stay in fp32; True for all.

    Raises StageFailure: image if a package is missing, compile if the graph cannot be read or cast.
    """
    try:
        return _cast(source, folder, precision, keep)
    except ImportError as error:
        raise _missing(error) from error
    # A broken graph raises what the library happens to raise: DecodeError, InferenceError, ValueError.
    except Exception as error:
        raise StageFailure(
            "compile",
            "{} cannot be cast to {}: {}".format(
                source.name, precision, " ".join(str(error).split())[:300]
            ),
            "the stage's log beside the result has the details; PRECISION=tf32 needs no cast",
        ) from error


def _missing(error):
    return StageFailure(
        "image",
        "the graph must be cast to its precision, and what casts it is missing: {}".format(error),
        "the stack's requirements.in has onnx and onnxruntime; build it again (make images VENDOR=nvidia), or "
        "install both in the environment of STACK_PYTHON",
    )


def _cast(source, folder, precision, keep):
    import onnx
    from onnxruntime.transformers import onnx_model

    target = folder / "model.onnx"
    model = _in_precision(_loaded(source, target, precision), precision, keep)
    _drop_repeated_casts(model.graph)
    graph = onnx_model.OnnxModel(model)
    # From one operator in fp32 to the next, values do not pass through fp16.
    graph.remove_cascaded_cast_nodes()
    graph.topological_sort()
    target.unlink()
    onnx.save_model(
        model,
        str(target),
        save_as_external_data=True,
        location="model.data",
        size_threshold=EXTERNAL_FROM_BYTES,
    )
    return target


def _loaded(source, target, precision):
    """Return the model with shapes and weights; ``target`` is overwritten."""
    import onnx

    # By path, since a graph of more than 2 GB does not fit in one message.
    onnx.shape_inference.infer_shapes_path(str(source), str(target))
    model = onnx.load(str(target), load_external_data=False)
    if precision == "bf16":
        model = bf16_graph.with_opset(model)
    onnx.load_external_data_for_model(model, str(source.parent))
    return model


def _in_precision(model, precision, keep):
    from onnxruntime.transformers import float16

    bits = bf16_graph.float_tensors(model) if precision == "bf16" else None
    model = float16.convert_float_to_float16(
        model,
        keep_io_types=keep,
        disable_shape_infer=True,
        node_block_list=_angles(model.graph),
        op_block_list=list(float16.DEFAULT_OP_BLOCK_LIST) + list(FP32_OPERATORS),
    )
    if bits is not None:
        bf16_graph.retype(model, bits)
    return model


def _angles(graph):
    """Return the names of the nodes that make arguments of sine and cosine, and of these; gives them names.

    A position of a thousand times a frequency is wrong by tenths of a radian in fp16, and by whole turns in bf16.
    """
    makers = {name: node for node in graph.node for name in node.output}
    waiting = [node for node in graph.node if node.op_type in ("Cos", "Sin")]
    found = {}
    while waiting:
        node = waiting.pop()
        if id(node) in found:
            continue
        node.name = node.name or "angle of {}".format(node.output[0])
        found[id(node)] = node.name
        waiting.extend(makers[name] for name in node.input if name in makers)
    return sorted(found.values())


def _drop_repeated_casts(graph):
    """A tensor that several operators need in fp32 is cast once for each, under the same name."""
    made = set()
    for node in list(graph.node):
        if node.op_type == "Cast" and node.output[0] in made:
            graph.node.remove(node)
        made.update(node.output)
