"""A language model's graph: one for prefill and decode, with the past's keys and values as inputs and outputs.

``tokens`` int64 [batch, sequence] and, for each layer, ``past_key_values.<n>.key`` and ``.value`` [batch, heads, past,
size] → ``logits`` [batch, vocabulary] of the last token, and ``present.<n>.key`` and ``.value``, which hold the past
and the sequence. The names are those of Hugging Face's own exports. A prefill has a past of length 0.
"""

import numpy as np

SEQUENCE, PAST, TOTAL = "sequence", "past", "total"
#: Lengths of the example that is traced: torch.export takes 0 and 1 for constants.
EXAMPLE_SEQUENCE, EXAMPLE_PAST = 3, 5


def cache_names(job, prefix):
    """The keys and values of each layer in turn: ``<prefix>.<n>.key``, ``<prefix>.<n>.value``."""
    return [
        "{}.{}.{}".format(prefix, layer, kind)
        for layer in range(job.generation.layers)
        for kind in ("key", "value")
    ]


def input_names(job):
    """Names of the graph's inputs, in its order."""
    return [job.inputs[0].name, *cache_names(job, "past_key_values")]


def output_names(job):
    """Names of the graph's outputs, in its order."""
    return [job.outputs[0].name, *cache_names(job, "present")]


def example_inputs(job, items, device="cpu", sequence=EXAMPLE_SEQUENCE, past=EXAMPLE_PAST):
    """Tensors in the order of ``input_names``: ones for tokens, normal noise for the past."""
    import torch

    generator = None if device == "meta" else torch.Generator().manual_seed(0)
    tokens = torch.ones((items, sequence), dtype=torch.int64, device=device)
    shape = (items, job.generation.kv_heads, past, job.generation.head_size)
    caches = (
        torch.randn(shape, generator=generator, device=device)
        for _ in range(2 * job.generation.layers)
    )
    return (tokens, *caches)


def one_token(job, items, device):
    """The example whose multiply-accumulates are those of a token of each sequence: without a past."""
    return example_inputs(job, items, device, sequence=1, past=0)


def dynamic_shapes(job):
    """For torch.export, which has the past as one argument: every axis that differs between calls."""
    import torch

    tokens, cache = {1: torch.export.Dim(SEQUENCE)}, {2: torch.export.Dim(PAST)}
    if not _is_static(job):
        tokens[0] = cache[0] = torch.export.Dim("batch")
    return (tokens, (cache,) * (2 * job.generation.layers))


def shapes(job):
    """(inputs, outputs) of the graph: name → sizes, a text for a dynamic axis."""
    spec = job.generation
    batch = job.batch_size if _is_static(job) else "batch"
    inputs = {job.inputs[0].name: [batch, SEQUENCE]}
    outputs = {job.outputs[0].name: [batch, *job.outputs[0].shape]}
    for found, prefix, length in ((inputs, "past_key_values", PAST), (outputs, "present", TOTAL)):
        for name in cache_names(job, prefix):
            found[name] = [batch, spec.kv_heads, length, spec.head_size]
    return inputs, outputs


class Reference:
    """The model as ``infer`` of a task, with the past kept between its steps. ``step(inputs) -> outputs``.

    Both are lists in the order of ``input_names`` and ``output_names``.
    """

    def __init__(self, job, step):
        self._job = job
        self._step = step
        self._past = []
        #: Inputs and outputs of the last step, by name.
        self.last = ({}, {})

    def __call__(self, inputs):
        """Logits of a prefill (tokens [B, S]) or of a decode step (tokens [B])."""
        tokens = inputs[self._job.inputs[0].name]
        if tokens.ndim == 2:
            self._past = empty_past(self._job, len(tokens))
        else:
            tokens = tokens[:, None]
        given = [np.ascontiguousarray(tokens), *self._past]
        made = self._step(given)
        self._past = made[1:]
        self.last = (
            dict(zip(input_names(self._job), given)),
            dict(zip(output_names(self._job), made)),
        )
        return {self._job.outputs[0].name: made[0]}


def empty_past(job, sequences):
    """Keys and values of no tokens: float32 [sequences, heads, 0, size] of each layer."""
    shape = (sequences, job.generation.kv_heads, 0, job.generation.head_size)
    return [np.zeros(shape, np.float32) for _ in range(2 * job.generation.layers)]


def torch_step(network):
    """``step`` of a Reference by the case's own module."""
    import torch

    def step(arrays):
        with torch.inference_mode():
            return [made.numpy() for made in network(*(torch.from_numpy(one) for one in arrays))]

    return step


def _is_static(job):
    return job.document["export"]["batch"] == "static"
