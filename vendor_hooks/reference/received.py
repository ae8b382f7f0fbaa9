"""What infer and validate handed in, held against what the case's task decodes and what fp32 gave."""

import numpy as np
from harness.dataset import Dataset
from harness.errors import StageFailure

REMEDY = "docs/contract.md has the table of what a stage leaves; try make check VENDOR={}"


def item_count(job):
    """How many items infer went over: those of the dataset, or the first ``limit`` of them."""
    dataset = Dataset(job.data_dir, job.measure.limit)
    try:
        return len(dataset)
    finally:
        dataset.close()


def require_predictions(job, stage, found, expected):
    """Raise StageFailure (contract) unless ``found`` has a row an item of all that ``expected`` has.

    Both are name → array; ``expected`` is what the task decodes of golden outputs.
    """
    count = item_count(job)
    for name, model in sorted(expected.items()):
        array = _named(job, stage, "predictions.npz", found, name)
        if len(array) != count:
            said = "{} rows, the dataset has {} items".format(len(array), count)
            raise _refused(job, stage, "predictions.npz", name, said)
        _require_alike(job, stage, "predictions.npz", name, array, np.asarray(model))


def require_raw(job, stage, found, golden):
    """Raise StageFailure (contract) unless ``found`` has the golden outputs' names, shapes and kinds."""
    items = min(len(rows) for rows in golden.values())
    theirs = [_named(job, stage, "raw.npz", found, name) for name in sorted(golden)]
    count = min(len(array) for array in theirs)
    for name, array in zip(sorted(golden), theirs):
        if len(array) * items != len(golden[name]) * count:
            said = "{} rows, where fp32 has {} of {} items".format(
                len(array), len(golden[name]), items
            )
            raise _refused(job, stage, "raw.npz", name, said)
        _require_alike(job, stage, "raw.npz", name, array, golden[name])
        if not np.isfinite(array).all():
            raise _refused(job, stage, "raw.npz", name, "NaN or Inf in it")


def lacking(job, stage, name):
    """The StageFailure (contract) of predictions without an array that the task scores."""
    return _refused(job, stage, "predictions.npz", name, "no such array")


def _named(job, stage, file, found, name):
    array = found.get(name)
    if array is None:
        said = "no such array, but {}".format(sorted(found) or "none at all")
        raise _refused(job, stage, file, name, said)
    if not array.ndim:
        raise _refused(job, stage, file, name, "no rows: it is a single number")
    return array


def _require_alike(job, stage, file, name, array, model):
    if array.shape[1:] != model.shape[1:]:
        said = "shape {} an item, expected {}".format(list(array.shape[1:]), list(model.shape[1:]))
        raise _refused(job, stage, file, name, said)
    if _kind(array) != _kind(model):
        raise _refused(
            job, stage, file, name, "dtype {}, expected {}".format(array.dtype, model.dtype)
        )


def _kind(array):
    """Whole numbers are alike in every width, and so are floats."""
    return "i" if array.dtype.kind in "iu" else array.dtype.kind


def _refused(job, stage, file, name, said):
    return StageFailure(
        "contract",
        "{} left a {} that cannot be scored: {!r}: {}".format(stage, file, name, said),
        REMEDY.format(job.vendor),
    )
