"""Core's sampled items, computed again from the exported graph in fp32: infer's outputs against these."""

import numpy as np
from hook import agreement, fidelity, onnx_export, received, token_graph

FILE = "core_samples.npz"


def compare(job, arrays):
    """Return {"items", "cosine_min", "max_abs"} of the samples in ``arrays`` (FILE); None without any.

    ``arrays`` has ``input:<name>`` and ``output:<name>``, batch first, and ``constant:<name>``. Raises
    StageFailure (contract) if they are not what job.json declares.
    """
    if job.generation is not None:
        return _of_sequences(job, arrays)
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


def _of_sequences(job, arrays):
    """The same for sequences that the core loop generated: their tokens are given to the graph step by step."""
    (tokens_spec,), (logits_spec,), lengths = job.inputs, job.outputs, job.generation
    fed = lengths.prompt + lengths.tokens - 1
    tokens = _sequences(job, arrays, "input", tokens_spec, (fed,))
    logits = _sequences(job, arrays, "output", logits_spec, (lengths.tokens, *logits_spec.shape))
    if len(tokens) != len(logits):
        raise received.refused(job, "infer", FILE, "input", "different numbers of items")
    if tokens.min() < 0 or tokens.max() >= logits_spec.shape[0]:
        raise received.refused(job, "infer", FILE, tokens_spec.name, "not ids of the vocabulary")
    session = agreement.session(job.onnx_path, job.threads)
    size = job.batch_size if onnx_export.is_static(job) else len(tokens)
    reference = np.empty_like(logits)
    for start in range(0, len(tokens), size):
        some = tokens[start : start + size]
        padded = np.concatenate([some] + [some[:1]] * (size - len(some)))
        for step, found in enumerate(_steps(job, session, padded)):
            reference[start : start + size, step] = found[: len(some)]
    rows = {"logits": logits.reshape(-1, logits_spec.shape[0])}
    cosine_min, max_abs = fidelity.compare(
        rows, {"logits": reference.reshape(-1, logits_spec.shape[0])}
    )
    return {"items": len(tokens), "cosine_min": cosine_min, "max_abs": max_abs}


def _steps(job, session, tokens):
    """Yield the logits of each step: float32 [batch, vocabulary]."""
    names = onnx_export.names(job)
    infer = token_graph.Reference(
        job, lambda arrays: session.run(names[1], dict(zip(names[0], arrays)))
    )
    prompt = job.generation.prompt
    yield infer({job.inputs[0].name: tokens[:, :prompt]})[job.outputs[0].name]
    for place in range(prompt, tokens.shape[1]):
        yield infer({job.inputs[0].name: tokens[:, place]})[job.outputs[0].name]


def _sequences(job, arrays, kind, spec, shape):
    found = arrays.get("{}:{}".format(kind, spec.name))
    if (
        found is None
        or found.dtype.name != spec.dtype
        or found.shape[1:] != shape
        or not len(found)
    ):
        said = "missing, or not {} [items, {}]".format(spec.dtype, ", ".join(map(str, shape)))
        raise received.refused(job, "infer", FILE, spec.name, said)
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise received.refused(job, "infer", FILE, spec.name, "contains NaN or Inf")
    return found


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
