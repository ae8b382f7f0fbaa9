"""The exported graph with quantizers (QDQ), for engines that compute in int8 or fp8: one file for every vendor.

ONNX Runtime's ``quantize_static`` inserts them. In int8, weights have a scale a channel, activations one each, both
symmetric, and weights stay fp32 before their quantizers: the form that TensorRT takes, too (ONNX Runtime's
documentation, "Quantize ONNX models", quantization on GPU). For fp8, ``fp8_graph`` makes E4M3 of the int8. NVIDIA's
ModelOpt would pin ONNX Runtime to a build for CUDA 12, and bring CuPy and a torch with CUDA: gigabytes.
"""

import hashlib
import io
import itertools
import logging

import numpy as np
from harness.errors import StageFailure, one_line
from harness.inputs.generated_pictures import picture
from harness.plugins import load_task
from hook import fp8_graph, onnx_export, stored_weights

#: What multiplies; the rest of a network stays in fp32.
OPERATORS = ("Conv", "Gemm", "MatMul")
#: The largest absolute value of an activation over all calibration items is its range.
METHOD = "MinMax"
JPEG_QUALITY = 90
#: Items of a call.
BATCH = 16


def file_name(precision):
    """The name of the graph with quantizers, beside model.onnx."""
    return "model.{}.onnx".format(precision)


def write(job, model):
    """Write the graph with quantizers beside ``model``/model.onnx; return what export.json says of it.

    Raises StageFailure: data if an item is unreadable, export for a graph that cannot be quantized.
    """
    import onnxruntime

    source = model / "model.onnx"
    spec = job.document["quantize"]
    target = model / file_name(spec["precision"])
    if stored_weights.is_large(source):
        raise StageFailure(
            "export",
            "a graph of more than {} GiB of weights is not quantized".format(
                stored_weights.LARGE_BYTES >> 30
            ),
            "use another PRECISION",
        )
    payloads = _payloads(job)
    try:
        if spec["precision"] == "fp8":
            _quantize_to_fp8(source, target, _inputs(job, payloads))
        else:
            _quantize(source, target, _inputs(job, payloads), per_channel=True)
    except StageFailure:
        raise
    # A graph that it does not know raises what the library happens to raise.
    except Exception as error:
        raise StageFailure(
            "export",
            "the graph cannot be quantized: {}".format(one_line(error)),
            "use another PRECISION",
        ) from error
    return {
        "precision": spec["precision"],
        "by": "onnxruntime {}, quantize_static, {}".format(onnxruntime.__version__, METHOD),
        "operators": list(OPERATORS),
        "items": len(payloads),
        "items_sha256": _digest(payloads),
        "items_from": spec["bundled"] or "generated",
    }


def _payloads(job):
    """The files that are calibrated on, in order."""
    spec = job.document["quantize"]
    if spec["bundled"] is None:
        return [_generated(spec["generated"], n) for n in range(spec["generated"]["count"])]
    folder = job.path("case") / spec["bundled"]
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    if not found:
        raise StageFailure(
            "data",
            "{} has no files to calibrate on".format(spec["bundled"]),
            "correct calibration.bundled in the case's case.toml",
        )
    return [path.read_bytes() for path in found]


def _generated(series, number):
    from PIL import Image

    pixels = picture(series["seed"], series["first"] + number, series["width"], series["height"])
    payload = io.BytesIO()
    Image.fromarray(pixels).save(payload, "JPEG", quality=JPEG_QUALITY)
    return payload.getvalue()


def _digest(payloads):
    digest = hashlib.sha256()
    for payload in payloads:
        digest.update(hashlib.sha256(payload).digest())
    return digest.hexdigest()


def _inputs(job, payloads):
    """The graph's inputs of all items, in batches; a static graph's last batch is filled up with the first items."""
    task = load_task(job)
    items = [task.prepare(payload) for payload in payloads]
    size = BATCH
    if onnx_export.is_static(job):
        size = job.batch_size
        items = list(itertools.islice(itertools.cycle(items), -(-len(items) // size) * size))
    groups = [items[start : start + size] for start in range(0, len(items), size)]
    return [
        {name: np.stack([item[name] for item in group]) for name in group[0]} for group in groups
    ]


def _quantize_to_fp8(source, target, batches):
    with fp8_graph.in_opset(source) as path:
        kept = fp8_graph.unsupported(path)
        _quantize(path, target, batches, per_channel=False, kept=kept)
    fp8_graph.retype(target)


def _quantize(source, target, batches, *, per_channel, kept=()):
    """Write ``target`` with quantizers in int8; nodes whose names are in ``kept`` get none."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self._batches = iter(batches)

        def get_next(self):
            return next(self._batches, None)

    # It advises to optimise the graph first, which onnxsim has done.
    logging.getLogger().setLevel(logging.ERROR)
    quantization.quantize_static(
        str(source),
        str(target),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=list(OPERATORS),
        nodes_to_exclude=list(kept),
        per_channel=per_channel,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=getattr(quantization.CalibrationMethod, METHOD),
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "AddQDQPairToWeight": True,
            "QuantizeBias": False,
        },
    )
