"""The case's torch module: built from weights or from a seed, and called with numpy arrays."""

import importlib

import numpy as np
from hook import token_graph


def case_model():
    """The case's model.py: build, skeleton, save."""
    return importlib.import_module("case.model")


def build(job, attention):
    """The module in eval mode, fp32, on ``job.threads`` threads; StageFailure (data) for bad weights."""
    import torch

    torch.set_num_threads(job.threads)
    return case_model().build(
        job.weights_dir, job.weights_format, job.weights == "synthetic", job.seed, attention
    )


def load(job, folder, attention):
    """The module with the weights that ``save`` wrote to ``folder``; the same bits, from a file."""
    import torch

    torch.set_num_threads(job.threads)
    return case_model().build(str(folder), "huggingface", False, job.seed, attention)


def versions():
    """Versions of the packages that build the module."""
    import torch
    import transformers

    return {"torch": torch.__version__, "transformers": transformers.__version__}


def example_inputs(job, items, device="cpu"):
    """Tensors in the declared order, for ``items`` items: normal noise for floats, ones for integers."""
    import torch

    if job.generation is not None:
        if device == "meta":
            return token_graph.one_token(job, items, device)
        return token_graph.example_inputs(job, items)
    generator = torch.Generator().manual_seed(0)
    examples = []
    for spec in job.inputs:
        shape = (items * spec.rows_per_item,) + spec.shape if spec.batched else spec.shape
        if device == "meta":
            examples.append(torch.empty(shape, dtype=getattr(torch, spec.dtype), device="meta"))
        elif spec.dtype.startswith(("float", "bfloat")):
            examples.append(torch.randn(shape, generator=generator, dtype=torch.float32))
        else:
            examples.append(torch.ones(shape, dtype=getattr(torch, spec.dtype)))
    return tuple(examples)


def call(network, job, inputs):
    """Run the module on name → array; return name → array with the declared outputs' names."""
    import torch

    tensors = [torch.from_numpy(np.asarray(inputs[spec.name])) for spec in job.inputs]
    with torch.inference_mode():
        outputs = network(*tensors)
    if len(outputs) != len(job.outputs):
        raise RuntimeError(
            "case.model returns {} outputs, but case.toml declares {}".format(
                len(outputs), len(job.outputs)
            )
        )
    return {spec.name: out.numpy() for spec, out in zip(job.outputs, outputs)}
