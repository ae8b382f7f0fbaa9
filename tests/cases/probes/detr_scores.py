"""Print average precisions of detr_resnet_50's scorer for detections that are known to be right or wrong."""

import json

import job_stub
import numpy as np

MANIFEST = job_stub.enter("detr_resnet_50")

from case import coco, task  # noqa: E402
from harness.errors import StageFailure  # noqa: E402

TASK = task.make_task(job_stub.job(MANIFEST, "."))
SIZE = 640, 480
#: left, top, width, height: large, medium and small objects of COCO's bounds (96² and 32² pixels).
OBJECTS = ((10, 20, 300, 200), (400, 100, 60, 60), (500, 300, 20, 30))


def label(picture, boxes, category=18, crowd=0):
    """A picture's label, as dataset.py writes it."""
    return {
        "id": picture,
        "width": SIZE[0],
        "height": SIZE[1],
        "objects": [
            {
                "id": 10 * picture + n,
                "category_id": category,
                "bbox": list(box),
                "area": box[2] * box[3],
                "iscrowd": crowd,
            }
            for n, box in enumerate(boxes)
        ],
    }


def detections(pictures, category=18):
    """Predictions of as many pictures, each a list of (box, score); others far below, of no category."""
    count = len(pictures)
    found = {
        "scores": np.full((count, 100), 1e-6, np.float32),
        "classes": np.zeros((count, 100), np.int32),
        "boxes": np.zeros((count, 100, 4), np.float32),
    }
    for item, boxes in enumerate(pictures):
        for n, ((left, top, width, height), score) in enumerate(boxes):
            corners = (left, top, left + width, top + height)
            found["boxes"][item, n] = np.array(corners) / np.tile(SIZE, 2)
            found["scores"][item, n] = score
            found["classes"][item, n] = category
    return found


def scores(labels, pictures, **changes):
    """Rounded figures."""
    figures = TASK.score(detections(pictures, **changes), np.array(labels, object))
    return {name: round(value, 2) for name, value in figures.items()}


def moved(box, share):
    """A box moved to the right by a share of its width."""
    return (box[0] + share * box[2], *box[1:])


def agreement():
    """Agreement of random detections with themselves, and with those of other pictures."""
    random = np.random.RandomState(0)
    outputs = {
        "logits": random.normal(0, 3, (4, 100, 92)).astype(np.float32),
        "pred_boxes": random.uniform(0.2, 0.8, (4, 100, 4)).astype(np.float32),
    }
    golden = TASK.decode(outputs)
    others = {name: array[::-1].copy() for name, array in golden.items()}
    return [TASK.agree(golden, golden), TASK.agree(others, golden)]


def without_objects():
    """The message where no picture has an object."""
    try:
        scores([label(1, [])], [[(OBJECTS[0], 0.9)]])
    except StageFailure as failure:
        return failure.message
    return None


BEST = [(box, 0.9 - n / 10) for n, box in enumerate(OBJECTS)]
print(  # noqa: T201
    json.dumps(
        {
            "all": scores([label(1, OBJECTS)], [BEST]),
            "one of two": scores([label(1, OBJECTS[:2])], [BEST[:1]]),
            # Moved by a sixth of its width, a box has an IoU of 5/7.
            "moved": scores([label(1, OBJECTS[:1])], [[(moved(OBJECTS[0], 1 / 6), 0.9)]]),
            "wrong first": scores(
                [label(1, OBJECTS[:1])], [[((0, 300, 50, 50), 0.9), (OBJECTS[0], 0.5)]]
            ),
            "other category": scores([label(1, OBJECTS[:1])], [BEST[:1]], category=17),
            "other picture": scores([label(1, OBJECTS[:1]), label(2, [])], [[], BEST[:1]]),
            "crowd": scores(
                [label(1, OBJECTS[:1]), label(2, OBJECTS[:1], crowd=1)], [BEST[:1], BEST[:1]]
            ),
            "agreement": agreement(),
            "without objects": without_objects(),
            "categories": len(coco.CATEGORIES),
            "scorer": TASK.scorer()["scorer"],
        }
    )
)
