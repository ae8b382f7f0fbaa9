"""Stage score: predictions against labels or against fp32; raw outputs against fp32.

This is the only stage that sees labels. With real data and weights, predictions are scored against the
labels. If either is synthetic, labels are meaningless, and agreement with the golden predictions counts.
"""

import json
import zipfile

import numpy as np
from harness import log
from harness.errors import StageFailure
from harness.plugins import load_task
from hook import core_samples, fidelity, received

AGAIN = "remove the cached outputs (make clean), then run the same command again"


def run(job, report, progress):
    """Fill in the report's accuracy (of infer, and of validate if it ran) and fidelity."""
    progress.phase("score")
    task = load_task(job)
    # Ours, and kept on this host: a file that cannot be read was damaged here.
    golden = _arrays(job.path("golden") / "golden.npz", "host")
    expected = task.decode(golden)
    judge = _by_labels(job, task) if _has_labels(job) else _by_agreement(task, expected)
    for which in ("infer", "validate"):
        path = job.path(which) / "predictions.npz"
        if path.is_file():
            predictions = _arrays(path)
            received.require_predictions(job, which, predictions, expected)
            report.accuracy[which] = _judged(job, which, judge, predictions)
            if which == "infer":
                task.illustrate(predictions, job.out_dir / "pictures")
            log.say("{}: {}".format(which, report.accuracy[which]["values"]))
    if "infer" not in report.accuracy:
        raise StageFailure(
            "contract", "infer wrote no predictions.npz", "make check VENDOR=" + job.vendor
        )
    report.fidelity = _fidelity(job, golden)
    report.core_fidelity = _core_fidelity(job)
    report.effective = task.scorer()


def _judged(job, which, judge, predictions):
    try:
        return judge(predictions)
    except KeyError as error:
        # An array that only scoring needs (such as pictures), and that the stage should have written.
        if error.args and isinstance(error.args[0], str) and error.args[0] not in predictions:
            raise received.lacking(job, which, error.args[0]) from error
        raise


def _has_labels(job):
    return job.document["data"] == "real" and job.weights != "synthetic"


def _by_labels(job, task):
    labels = _labels(job.path("labels") / "labels.json")

    def judge(predictions):
        count = _count(predictions)
        if count > len(labels):
            message = "there are {} predictions, but only {} labels".format(count, len(labels))
            raise StageFailure(
                "data", message, "prepare the dataset again: make data CASE=" + job.case
            )
        return _accuracy("labels", count, task.score(predictions, labels[:count]))

    return judge


def _by_agreement(task, expected):
    def judge(predictions):
        count = min(_count(expected), _count(predictions))
        ours, theirs = (
            {name: rows[:count] for name, rows in arrays.items()}
            for arrays in (predictions, expected)
        )
        return _accuracy("agreement", count, task.agree(ours, theirs))

    return judge


def _accuracy(kind, items, values):
    return {"kind": kind, "items": items, "values": {k: float(v) for k, v in values.items()}}


def _fidelity(job, golden):
    """Compare infer's raw outputs with the golden ones, over the items that both have."""
    path = job.path("infer") / "raw.npz"
    if not path.is_file():
        raise StageFailure("contract", "infer wrote no raw.npz", "make check VENDOR=" + job.vendor)
    raw = _arrays(path)
    received.require_raw(job, "infer", raw, golden)
    count = min(_count(golden), _count(raw))
    if not count:
        return None
    ours, theirs = (
        {name: arrays[name][: len(arrays[name]) // _count(arrays) * count] for name in golden}
        for arrays in (raw, golden)
    )
    cosine_min, max_abs = fidelity.compare(ours, theirs)
    return {"items": count, "cosine_min": cosine_min, "max_abs": max_abs}


def _core_fidelity(job):
    """Compare what core computed for sampled items; None if a tool or a hook of its own ran core."""
    path = job.path("infer") / core_samples.FILE
    if not path.is_file() or not job.onnx_path.is_file():
        return None
    return core_samples.compare(job, _arrays(path))


def _labels(path):
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))["labels"]
    except (OSError, ValueError, KeyError) as error:
        raise StageFailure("data", "labels.json cannot be read: {}".format(error), AGAIN) from error
    if all(isinstance(label, (int, str)) for label in labels):
        return np.asarray(labels)
    # Lists and mappings stay one label per item: numpy would make a table of lists of equal length.
    array = np.empty(len(labels), object)
    for position, label in enumerate(labels):
        array[position] = label
    return array


def _arrays(path, kind="contract"):
    if path.is_symlink():
        # It could name the golden outputs themselves.
        raise StageFailure(kind, "{} is a symbolic link, not a file".format(path.name), AGAIN)
    try:
        with np.load(str(path), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StageFailure(kind, "{} cannot be read: {}".format(path.name, error), AGAIN) from error


def _count(arrays):
    return min(len(rows) for rows in arrays.values())
