"""Casts the exported fp32 graph to fp16, for TensorRT 11, which computes in the types of the graph.

TensorRT 10 and older choose between fp16 and fp32 themselves (BuilderFlag.FP16). ONNX Runtime's converter does
the casting. Inputs, outputs and a few operators stay in fp32. The same graph always gives the same bytes.
"""

import contextlib
import shutil

from harness.errors import StageFailure
from hook import trt_release

#: Kept in fp32 beyond what the converter keeps: a LayerNorm of single operators squares its input, and the
#: square of more than 255 is no fp16 number.
FP32_OPERATORS = ("Pow", "ReduceMean")
#: Smaller tensors stay in the file of the graph.
EXTERNAL_FROM_BYTES = 1024


def is_needed(job, version):
    """Tell whether a precision is in the graph for this release, instead of in a flag."""
    return job.precision == "fp16" and trt_release.is_strongly_typed(version)


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
        yield job.onnx_path
        return
    folder = job.cache_dir / "cast"
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield cast(job.onnx_path, folder)
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def cast(source, folder):
    """Write ``source`` in fp16 to ``folder``/model.onnx and model.data; return the path.

    Raises StageFailure: image if a package is missing, compile if the graph cannot be read or cast.
    """
    try:
        import onnx
        from onnxruntime.transformers import float16, onnx_model
    except ImportError as error:
        raise _missing(error) from error
    try:
        return _cast(onnx, float16, onnx_model, source, folder)
    # A broken graph raises what the library happens to raise: DecodeError, InferenceError, ValueError.
    except Exception as error:
        raise StageFailure(
            "compile",
            "{} cannot be cast to fp16: {}".format(source.name, " ".join(str(error).split())[:300]),
            "the stage's log beside the result has the details; PRECISION=tf32 needs no cast",
        ) from error


def _missing(error):
    return StageFailure(
        "image",
        "TensorRT 11 needs the graph in fp16, and what casts it is missing: {}".format(error),
        "the stack's requirements.in has onnx and onnxruntime; build it again (make images VENDOR=nvidia), or "
        "install both in the environment of STACK_PYTHON",
    )


def _cast(onnx, float16, onnx_model, source, folder):
    target = folder / "model.onnx"
    # By path, since a graph of more than 2 GB does not fit in one message.
    onnx.shape_inference.infer_shapes_path(str(source), str(target))
    model = onnx.load(str(target), load_external_data=False)
    onnx.load_external_data_for_model(model, str(source.parent))
    model = float16.convert_float_to_float16(
        model,
        keep_io_types=True,
        disable_shape_infer=True,
        op_block_list=list(float16.DEFAULT_OP_BLOCK_LIST) + list(FP32_OPERATORS),
    )
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


def _drop_repeated_casts(graph):
    """A tensor that several operators need in fp32 is cast once for each, under the same name."""
    made = set()
    for node in list(graph.node):
        if node.op_type == "Cast" and node.output[0] in made:
            graph.node.remove(node)
        made.update(node.output)
