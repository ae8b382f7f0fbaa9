"""COCO's average precision, by pycocotools. Reference image only."""

import contextlib
import io
import pathlib

from harness.errors import StageFailure

#: Figure → its place in COCOeval.stats; those by size need the pictures' true sizes.
ALL = {"map": 0, "ap50": 1, "ap75": 2}
BY_SIZE = {"ap_small": 3, "ap_medium": 4, "ap_large": 5}


def of(document, found, sizes=True):
    """Figure → percent, of detections float64 [N, 7] (coco.found) against COCO's ``document``.

    A figure without a single object is left out. Raises StageFailure (data) if there is none at all.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not document["annotations"]:
        message = "none of the {} pictures has an object".format(len(document["images"]))
        raise StageFailure("data", message, "score more pictures: a larger LIMIT, or none")
    # It prints its progress and a table.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = document
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    wanted = {**ALL, **BY_SIZE} if sizes else ALL
    percent = {name: 100.0 * float(evaluation.stats[place]) for name, place in wanted.items()}
    # pycocotools gives -1 to a size of which there are no objects.
    return {name: value for name, value in percent.items() if value >= 0.0}


def scorer():
    """The library and its version, by the folder that pip leaves: importlib.metadata is not in Python 3.7."""
    import pycocotools

    beside = pathlib.Path(pycocotools.__file__).parent.parent
    found = [path.stem for path in beside.glob("pycocotools-*.dist-info")]
    return (found or ["pycocotools"])[0].replace("-", " ")
