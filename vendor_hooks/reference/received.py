"""Checks what infer and validate wrote, against the task's decoded golden outputs and fp32's raw outputs."""

import numpy as np
from harness.errors import StageFailure
from harness.inputs.dataset import Dataset

REMEDY = "docs/contract.md lists the files of each stage; to test the hook: make check VENDOR={}"


def item_count(job):
    """The number of items of infer: those of the dataset, or the first ``limit`` of them."""
    dataset = Dataset(job.data_dir, job.measure.limit)
    try:
        return len(dataset)
    finally:
        dataset.close()


def require_predictions(job, stage, found, expected):
    """Raise StageFailure (contract) unless ``found`` has the arrays of ``expected``, one row per item.

    Both are name → array; ``expected`` are the golden outputs as decoded by the task.
    """
    count = item_count(job)
    for name, model in sorted(expected.items()):
        array = _named(job, stage, "predictions.npz", found, name)
        if len(array) != count:
            said = "{} rows, but the dataset has {} items".format(len(array), count)
            raise refused(job, stage, "predictions.npz", name, said)
        _require_alike(job, stage, "predictions.npz", name, array, np.asarray(model))


def require_raw(job, stage, found, golden):
    """Raise StageFailure (contract) unless ``found`` has the golden outputs' names, shapes and kinds."""
    items = min(len(rows) for rows in golden.values())
    theirs = [_named(job, stage, "raw.npz", found, name) for name in sorted(golden)]
    count = min(len(array) for array in theirs)
    for name, array in zip(sorted(golden), theirs):
        if len(array) * items != len(golden[name]) * count:
            said = "{} rows, but fp32 has {} rows for {} items".format(
                len(array), len(golden[name]), items
            )
            raise refused(job, stage, "raw.npz", name, said)
        _require_alike(job, stage, "raw.npz", name, array, golden[name])
        if not np.isfinite(array).all():
            raise refused(job, stage, "raw.npz", name, "contains NaN or Inf")


def lacking(job, stage, name):
    """The StageFailure (contract) for predictions that lack an array which the task scores."""
    return refused(job, stage, "predictions.npz", name, "this array is missing")


def _named(job, stage, file, found, name):
    array = found.get(name)
    if array is None:
        said = "this array is missing; the file has {}".format(sorted(found) or "no arrays")
        raise refused(job, stage, file, name, said)
    if not array.ndim:
        raise refused(job, stage, file, name, "a single number, without rows")
    return array


def _require_alike(job, stage, file, name, array, model):
    if array.shape[1:] != model.shape[1:]:
        said = "shape {} per item, expected {}".format(list(array.shape[1:]), list(model.shape[1:]))
        raise refused(job, stage, file, name, said)
    if _kind(array) != _kind(model):
        raise refused(
            job, stage, file, name, "dtype {}, expected {}".format(array.dtype, model.dtype)
        )


def _kind(array):
    """Integers of every width are the same kind, and so are floats."""
    return "i" if array.dtype.kind in "iu" else array.dtype.kind


def refused(job, stage, file, name, said):
    """The StageFailure (contract) for an array that cannot be scored."""
    return StageFailure(
        "contract",
        "{} wrote a {} that cannot be scored: {!r}: {}".format(stage, file, name, said),
        REMEDY.format(job.vendor),
    )
