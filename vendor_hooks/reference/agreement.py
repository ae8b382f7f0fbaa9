"""ONNX Runtime on the exported file against torch: the export is not believed, it is tried."""

from harness.errors import StageFailure
from hook import fidelity

COSINE_MIN = 0.99999


def require(path, calls, threads):
    """Run the recorded model calls through ONNX Runtime; {"items", "cosine_min", "max_abs"}.

    Raises StageFailure (export) below COSINE_MIN.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    pairs = [(_run(session, inputs), outputs) for inputs, outputs in calls]
    found = [fidelity.compare(ours, reference) for ours, reference in pairs]
    cosine = min(pair[0] for pair in found)
    if not cosine >= COSINE_MIN:
        message = "the exported graph disagrees with torch: cosine {:.7f}, at least {} is asked".format(
            cosine, COSINE_MIN
        )
        raise StageFailure("export", message, "this is a fault of the case or the exporter; report it")
    return {
        "items": sum(len(next(iter(outputs.values()))) for _, outputs in calls),
        "cosine_min": cosine,
        "max_abs": max(pair[1] for pair in found),
    }


def _run(session, inputs):
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs)))
