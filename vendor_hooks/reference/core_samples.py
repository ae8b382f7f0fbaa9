"""Core's sampled items, computed again from the exported graph in fp32: infer's outputs against these."""

import numpy as np
from hook import agreement, fidelity, onnx_export, received

FILE = "core_samples.npz"


def compare(job, arrays):
    """Return {"items", "cosine_min", "max_abs"} of the samples in ``arrays`` (FILE); None without any.

    ``arrays`` has ``input:<name>`` and ``output:<name>``, batch first, and ``constant:<name>``. Raises
    StageFailure (contract) if they are not what job.json declares.
    """
    inputs = {spec.name: _array(job, arrays, spec, "input") for spec in job.inputs}
    outputs = {
        spec.name: _array(job, arrays, spec, "output") for spec in job.outputs if spec.batched
    }
    counts = {
        len(found) // spec.rows_per_item
        for spec in job.inputs + job.outputs
        if spec.batched
        for found in ((inputs if spec.name in inputs else outputs)[spec.name],)
    }
    if len(counts) != 1:
        raise received.refused(job, "infer", FILE, "input", "different numbers of items")
    count = counts.pop()
    session = agreement.session(job.onnx_path, job.threads)
    found = [_computed(job, session, inputs, item) for item in range(count)]
    reference = {name: np.concatenate([one[name] for one in found]) for name in outputs}
    cosine_min, max_abs = fidelity.compare(outputs, reference)
    return {"items": count, "cosine_min": cosine_min, "max_abs": max_abs}


def _array(job, arrays, spec, kind):
    kind = kind if spec.batched else "constant"
    found = arrays.get("{}:{}".format(kind, spec.name))
    expected = "float32" if spec.dtype == "bfloat16" else spec.dtype
    if found is None or found.dtype.name != expected:
        said = "missing or not {}".format(expected)
        raise received.refused(job, "infer", FILE, spec.name, said)
    shape = found.shape[1:] if spec.batched else found.shape
    whole = not spec.batched or (len(found) and len(found) % spec.rows_per_item == 0)
    if shape != spec.shape or not whole:
        said = "shape {}, expected {} per row".format(list(found.shape), list(spec.shape))
        raise received.refused(job, "infer", FILE, spec.name, said)
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise received.refused(job, "infer", FILE, spec.name, "contains NaN or Inf")
    return found


def _computed(job, session, inputs, item):
    """Name → the item's outputs; a static graph gets the item as often as its batch has places."""
    copies = job.batch_size if onnx_export.is_static(job) else 1
    fed = {}
    for spec in job.inputs:
        rows = inputs[spec.name]
        if spec.batched:
            rows = rows[item * spec.rows_per_item : (item + 1) * spec.rows_per_item]
            rows = np.concatenate([rows] * copies)
        fed[spec.name] = rows
    outputs = agreement.outputs_of(session, fed)
    return {
        spec.name: outputs[spec.name][: spec.rows_per_item] for spec in job.outputs if spec.batched
    }
