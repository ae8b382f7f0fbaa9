"""Verb tensors: preprocesses every item once, and writes raw arrays for the stages to read.

Writes ``out/data`` (items.bin, index.json of kind ``tensor``): each item is the little-endian bytes of its
arrays in C order, in the order of the task's ``prepare``. Ids and order of items are kept; labels and names
are not available here.
"""

import hashlib

import numpy as np
from harness import files
from harness.errors import StageFailure
from harness.inputs.batch_loader import BatchLoader, make_source
from harness.inputs.dataset import Dataset
from harness.plugins import load_task

#: Items per batch, prepared by all threads.
BATCH = 32


def run(job, report, progress):
    """Prepare and write all items of the dataset."""
    # The driver runs this verb in place of the export stage.
    report.stage = job.document["stage"]
    dataset = Dataset(job.data_dir, job.measure.limit)
    try:
        if dataset.kind != "file":
            message = "the dataset is already of kind {}".format(dataset.kind)
            raise StageFailure("data", message, "leave out INPUT=tensor")
        task = load_task(job)
        progress.phase("preprocess", len(dataset), "items")
        index = _write(job.out_dir / "data", dataset, task, job.threads, progress)
    finally:
        dataset.close()
    files.write_json(job.out_dir / "data" / "index.json", index)
    report.details.update(task.details())


def _write(folder, dataset, task, threads, progress):
    """Write items.bin; return the document for index.json."""
    folder.mkdir(parents=True, exist_ok=True)
    source = make_source(dataset, task)
    specs = [_spec(name, shape, dtype) for name, (shape, dtype) in source.layout.items()]
    length = sum(np.dtype(s["dtype"]).itemsize * int(np.prod(s["shape"], dtype=int)) for s in specs)
    digest = hashlib.sha256()
    target = folder / "items.bin"
    with target.open("wb") as stream, BatchLoader(source, BATCH, threads) as loader:
        for batch in loader.batches(len(dataset)):
            for row in range(batch.count):
                for spec in specs:
                    payload = _little_endian(batch.inputs[spec["name"]][row])
                    stream.write(payload)
                    digest.update(payload)
            loader.release(batch)
            progress.done += batch.count
    items = [
        {"id": item, "offset": number * length, "length": length}
        for number, item in enumerate(dataset.ids)
    ]
    return {
        "schema": "assay/dataset/1",
        "kind": "tensor",
        "count": len(items),
        "file": "items.bin",
        "bytes": len(items) * length,
        "sha256": digest.hexdigest(),
        "items": items,
        "tensors": specs,
    }


def _spec(name, shape, dtype):
    return {"name": name, "shape": list(shape), "dtype": np.dtype(dtype).name}


def _little_endian(array):
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
