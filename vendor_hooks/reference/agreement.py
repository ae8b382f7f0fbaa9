"""Tests an export: ONNX Runtime on the exported file against torch."""

from harness.errors import StageFailure, one_line
from hook import fidelity, stored_weights

COSINE_MIN = 0.99999


def require(path, calls, threads):
    """Run the recorded model calls through ONNX Runtime; return {"items", "cosine_min", "max_abs"}.

    Raises StageFailure (export) below COSINE_MIN.
    """
    opened = session(path, threads)
    pairs = [(outputs_of(opened, inputs), outputs) for inputs, outputs in calls]
    found = [fidelity.compare(ours, reference) for ours, reference in pairs]
    cosine = min(pair[0] for pair in found)
    if not cosine >= COSINE_MIN:
        message = (
            "the exported graph disagrees with torch: cosine {:.7f}, expected at least {}".format(
                cosine, COSINE_MIN
            )
        )
        raise StageFailure(
            "export", message, "this is a bug in the case or in the exporter; report it"
        )
    return {
        "items": sum(len(next(iter(outputs.values()))) for _, outputs in calls),
        "cosine_min": cosine,
        "max_abs": max(pair[1] for pair in found),
    }


def session(path, threads):
    """An ONNX Runtime session of an exported graph, in fp32 on the host; StageFailure (export) if it fails."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # The highest level rearranges all weights for this processor, which takes longer than it would save.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    left_out = []
    try:
        if stored_weights.is_large(path):
            # A matrix of 16 bits is fp32 while it is used: not folded, and not kept in an arena or a plan for reuse.
            left_out = ["ConstantFolding"]
            options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=left_out
        )
    except Exception as error:  # its exceptions share no base class
        if isinstance(error, MemoryError) or "bad_alloc" in str(error):
            raise
        message = "ONNX Runtime cannot load the exported graph: {}".format(
            one_line(error, limit=400)
        )
        raise StageFailure(
            "export",
            message,
            "remove the cached model (make clean), then run the same command again",
        ) from error


def outputs_of(session, inputs):
    """Name → output of one run."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs)))
