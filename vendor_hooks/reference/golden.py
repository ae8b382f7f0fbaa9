"""Golden outputs: the fp32 outputs of torch for the first items of the dataset."""

import numpy as np
from harness import files
from harness.inputs.batch_loader import BatchLoader, make_source
from harness.inputs.dataset import Dataset
from harness.job import filled, items_in
from harness.task import Task
from hook import module, onnx_export, token_graph

SCHEMA = "assay/golden/1"
#: Items per call with a dynamic batch: enough to keep the cores busy, with little memory.
BATCH = 8
#: Model calls kept for the comparison with the exported graph, if an item takes many calls; a smoke run of a
#: slow model has one golden item and keeps one call.
CALLS_KEPT = 2


class TokenRecorder(token_graph.Reference):
    """As CallRecorder, for a language model: its steps keep the past."""

    def __init__(self, network, job, keep):
        super().__init__(job, token_graph.torch_step(network))
        self._keep = keep
        self.calls = []

    def __call__(self, inputs):
        """Make one step: the first ones, such as a prefill and a decode step, are kept."""
        count = items_in(inputs, self._job)
        missing = self._job.batch_size - count if onnx_export.is_static(self._job) else 0
        outputs = super().__call__(filled(inputs, self._job, missing))
        if len(self.calls) < self._keep:
            self.calls.append(self.last)
        return {name: rows[:count] for name, rows in outputs.items()}


class CallRecorder:
    """The module as ``infer`` of a task; keeps calls for the comparison with the exported graph."""

    def __init__(self, network, job, keep):
        self._network = network
        self._job = job
        self._keep = keep
        self.calls = []

    def __call__(self, inputs):
        """Make one call, with inputs and outputs as an engine has them."""
        outputs = module.call(self._network, self._job, inputs)
        if self._keep is None or len(self.calls) < self._keep:
            kept = {spec.name: np.array(inputs[spec.name]) for spec in self._job.inputs}
            self.calls.append((kept, outputs))
        return outputs


def run(job, task, network, progress):
    """Run the first ``job.golden_count`` items through torch.

    Returns (outputs, calls): name → array of all items, and (inputs, outputs) of model calls. With a static
    batch, every call has exactly the batch size; padding is cut from the outputs.
    """
    static = onnx_export.is_static(job)
    generates = job.generation is not None
    stepwise = type(task).run is not Task.run and not generates
    # One item with many calls is enough work, and its small calls are cheap to compare with the graph.
    size = job.batch_size if static else 1 if stepwise else min(BATCH, job.golden_count)
    if generates:
        recorder = TokenRecorder(network, job, CALLS_KEPT)
    else:
        keep = min(CALLS_KEPT, job.golden_count) if stepwise else None
        recorder = CallRecorder(network, job, keep)
    dataset = Dataset(job.data_dir, job.golden_count)
    parts = []
    try:
        progress.phase("golden", len(dataset), "items")
        with BatchLoader(make_source(dataset, task), size, job.threads, static=static) as loader:
            for batch in loader.batches(len(dataset)):
                outputs = task.run(recorder, batch.inputs)
                parts.append({name: _first(rows, batch) for name, rows in outputs.items()})
                loader.release(batch)
                progress.done += batch.count
    finally:
        dataset.close()
    return {
        name: np.concatenate([part[name] for part in parts]) for name in parts[0]
    }, recorder.calls


def write(folder, outputs, job):
    """Write golden.npz and, last, golden.json."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_npz(folder / "golden.npz", outputs)
    document = {
        "schema": SCHEMA,
        "count": job.golden_count,
        "outputs": {name: [str(array.dtype), list(array.shape)] for name, array in outputs.items()},
        "weights": job.weights,
        "versions": module.versions(),
        "sha256": files.sha256(folder / "golden.npz"),
    }
    files.write_json(folder / "golden.json", document)


def _first(rows, batch):
    """Cut the padding: keep the rows of the batch's real items."""
    return rows[: len(rows) // batch.rows * batch.count]
