"""torch → ONNX: the dynamo exporter for opset 18 and later, the TorchScript one for older opsets.

The dynamo exporter writes opset 18 even if a smaller one is asked for. The TorchScript exporter supports
scaled_dot_product_attention only since opset 14, so it uses separate matrix products ("eager").
"""

from harness.errors import StageFailure
from hook import module, older_opsets, stored_weights, token_graph

DYNAMO_OPSET = 18
RAW_NAME = "raw.onnx"


def exporter(opset):
    """The exporter that can write this opset."""
    return Dynamo(opset) if opset >= DYNAMO_OPSET else TorchScript(opset)


class Dynamo:
    """torch.export, then onnxscript's translation; the batch is symbolic through torch.export.Dim."""

    name = "dynamo"
    attention = "sdpa"

    def __init__(self, opset):
        self._opset = opset

    def write(self, network, job, folder):
        """Write ``folder``/raw.onnx, with weights as external data below the folder."""
        import torch

        simplified_later = job.document["export"]["simplify"]
        program = torch.onnx.export(
            network,
            module.example_inputs(job, _example_items(job)),
            dynamo=True,
            # Its rewriter takes two thirds of SAM's export time, and onnxsim does the same work anyway.
            optimize=not simplified_later,
            opset_version=self._opset,
            input_names=names(job)[0],
            output_names=names(job)[1],
            dynamic_shapes=self._dynamic_shapes(job),
            verbose=False,
        )
        if simplified_later:
            fold(program.model)
        stored_weights.save(program.model, folder / RAW_NAME)
        # onnxscript's rewrite rules keep the last graph, with all of its weights: for Stable Diffusion,
        # 3.4 GB would stay in memory until the end of the stage.
        for value in program.model.graph.initializers.values():
            value.const_value = None

    @staticmethod
    def _dynamic_shapes(job):
        import torch

        if job.generation is not None:
            return token_graph.dynamic_shapes(job)
        if is_static(job):
            return None
        dims = {rows: torch.export.Dim(name) for rows, name in batch_names(job.inputs).items()}
        return tuple({0: dims[s.rows_per_item]} if s.batched else None for s in job.inputs)


class TorchScript:
    """The exporter that traces; the batch is symbolic through dynamic axes."""

    name = "torchscript"
    attention = "eager"

    def __init__(self, opset):
        self._opset = opset

    def write(self, network, job, folder):
        """Write ``folder``/raw.onnx; beyond 2 GB, each weight gets a file beside it."""
        import torch

        if job.generation is not None:
            raise _too_old(self._opset)
        with older_opsets.spelled_out(self._opset):
            torch.onnx.export(
                network,
                module.example_inputs(job, _example_items(job)),
                str(folder / RAW_NAME),
                dynamo=False,
                opset_version=self._opset,
                input_names=[spec.name for spec in job.inputs],
                output_names=[spec.name for spec in job.outputs],
                dynamic_axes=self._dynamic_axes(job),
            )

    @staticmethod
    def _dynamic_axes(job):
        if is_static(job):
            return None
        names = batch_names(job.inputs + job.outputs)
        return {s.name: {0: names[s.rows_per_item]} for s in job.inputs + job.outputs if s.batched}


def names(job):
    """(names of the graph's inputs, of its outputs), in its order."""
    if job.generation is not None:
        return token_graph.input_names(job), token_graph.output_names(job)
    return [spec.name for spec in job.inputs], [spec.name for spec in job.outputs]


def _too_old(opset):
    return StageFailure(
        "export",
        "a language model's graph needs opset {} or later, not {}".format(DYNAMO_OPSET, opset),
        "ask for a later opset in vendor.toml",
    )


def fold(model):
    """Inline, fold constants and remove unused nodes, which halves the number of nodes."""
    import onnxscript.optimizer

    onnxscript.optimizer.inline(model)
    onnxscript.optimizer.fold_constants(model)
    onnxscript.optimizer.remove_unused_nodes(model)


def is_static(job):
    """Whether the engine asks for a fixed batch."""
    return job.document["export"]["batch"] == "static"


def batch_names(specs):
    """Rows per item → name of that batch axis: ``batch``, and ``batch_x2`` … for others."""
    rows = sorted({spec.rows_per_item for spec in specs if spec.batched})
    return {r: "batch" if r == rows[0] else "batch_x{}".format(r) for r in rows}


def _example_items(job):
    # torch.export treats a size of 1 as a constant, so a dynamic batch is traced with two items.
    return job.batch_size if is_static(job) else 2
