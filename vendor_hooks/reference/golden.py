"""Golden outputs: what torch gives in fp32 for the first items of the data set."""

import numpy as np
from harness import files
from harness.dataset import Dataset
from harness.loader import Loader, make_source
from harness.task import Task
from hook import module, onnx_export

SCHEMA = "assay/golden/1"
#: Items a call, where the engine leaves the batch free: enough to keep cores busy, little memory.
BATCH = 8
#: Model calls kept for the comparison with the exported graph, where an item takes many of them; a look
#: at a slow model has one golden item and keeps one.
CALLS_KEPT = 2


class Recorder:
    """The module as a task's ``infer``; keeps the calls that are compared with the exported graph."""

    def __init__(self, network, job, keep):
        self._network = network
        self._job = job
        self._keep = keep
        self.calls = []

    def __call__(self, inputs):
        """One call: name → array, as an engine takes and gives them."""
        outputs = module.call(self._network, self._job, inputs)
        if self._keep is None or len(self.calls) < self._keep:
            kept = {spec.name: np.array(inputs[spec.name]) for spec in self._job.inputs}
            self.calls.append((kept, outputs))
        return outputs


def run(job, task, network, progress):
    """The first ``job.golden_count`` items through torch.

    Returns (outputs, calls): name → array of all items, and the (inputs, outputs) of model calls. With
    a static batch every call has exactly that many items; padding is cut from the outputs.
    """
    static = onnx_export.is_static(job)
    stepwise = type(task).run is not Task.run
    # One item of many calls is work enough, and its calls are the smallest to compare with the graph.
    size = job.batch_size if static else 1 if stepwise else min(BATCH, job.golden_count)
    recorder = Recorder(network, job, min(CALLS_KEPT, job.golden_count) if stepwise else None)
    dataset = Dataset(job.data_dir, job.golden_count)
    parts = []
    try:
        progress.phase("golden", len(dataset), "items")
        with Loader(make_source(dataset, task), size, job.threads, static=static) as loader:
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
    """Cut the padding: rows an item times the batch's real items."""
    return rows[: len(rows) // batch.rows * batch.count]
