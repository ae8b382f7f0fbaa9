"""COCO's 80 categories, and its document of pictures and objects as average_precision.py reads it."""

import numpy as np

#: id → name, as instances_val2017.json has them. 80 of the ids 1 to 90 are used; DETR's class is the id.
CATEGORIES = {
    1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train", 8: "truck",
    9: "boat", 10: "traffic light", 11: "fire hydrant", 13: "stop sign", 14: "parking meter", 15: "bench",
    16: "bird", 17: "cat", 18: "dog", 19: "horse", 20: "sheep", 21: "cow", 22: "elephant", 23: "bear",
    24: "zebra", 25: "giraffe", 27: "backpack", 28: "umbrella", 31: "handbag", 32: "tie", 33: "suitcase",
    34: "frisbee", 35: "skis", 36: "snowboard", 37: "sports ball", 38: "kite", 39: "baseball bat",
    40: "baseball glove", 41: "skateboard", 42: "surfboard", 43: "tennis racket", 44: "bottle",
    46: "wine glass", 47: "cup", 48: "fork", 49: "knife", 50: "spoon", 51: "bowl", 52: "banana", 53: "apple",
    54: "sandwich", 55: "orange", 56: "broccoli", 57: "carrot", 58: "hot dog", 59: "pizza", 60: "donut",
    61: "cake", 62: "chair", 63: "couch", 64: "potted plant", 65: "bed", 67: "dining table", 70: "toilet",
    72: "tv", 73: "laptop", 74: "mouse", 75: "remote", 76: "keyboard", 77: "cell phone", 78: "microwave",
    79: "oven", 80: "toaster", 81: "sink", 82: "refrigerator", 84: "book", 85: "clock", 86: "vase",
    87: "scissors", 88: "teddy bear", 89: "hair drier", 90: "toothbrush",
}  # fmt: skip
#: What a picture's label keeps of its objects.
KEPT = ("id", "category_id", "bbox", "area", "iscrowd")
#: Side of the pictures in a comparison with fp32, which needs no true size.
NOMINAL_SIDE = 1000


def label(picture, objects):
    """The label of one item: a picture and its objects, both as in COCO's file."""
    kept = [{name: one[name] for name in KEPT} for one in objects]
    return {
        "id": picture["id"],
        "width": picture["width"],
        "height": picture["height"],
        "objects": kept,
    }


def document(labels):
    """Labels → {"images", "annotations", "categories"}."""
    return _document(
        [{name: one[name] for name in ("id", "width", "height")} for one in labels],
        [dict(found, image_id=one["id"]) for one in labels for found in one["objects"]],
        CATEGORIES,
    )


def best_of(predictions, share):
    """Detections → the same document, in which the best ``share`` of all detections are the objects."""
    scores = predictions["scores"]
    bound = np.quantile(scores, 1.0 - share)
    pictures = [
        {"id": number, "width": NOMINAL_SIDE, "height": NOMINAL_SIDE}
        for number in range(1, len(scores) + 1)
    ]
    rows = found(predictions, pictures)
    objects = [
        {
            "id": number,
            "image_id": int(row[0]),
            "category_id": int(row[6]),
            "bbox": row[1:5].tolist(),
            "area": float(row[3] * row[4]),
            "iscrowd": 0,
        }
        for number, row in enumerate(rows[rows[:, 5] >= bound], start=1)
    ]
    return _document(pictures, objects, sorted(set(rows[:, 6].astype(int).tolist())))


def found(predictions, pictures):
    """Detections of N pictures → float64 [N × 100, 7]: picture, left, top, width, height, score, category.

    Positions and sizes are in pixels of the picture; pycocotools reads this array.
    """
    count, each = predictions["scores"].shape
    sides = np.array([[one["width"], one["height"]] for one in pictures], np.float64)
    boxes = predictions["boxes"].astype(np.float64) * np.tile(sides, 2)[:, None, :]
    boxes[..., 2:] -= boxes[..., :2]
    ids = np.array([one["id"] for one in pictures], np.float64)
    columns = (
        np.repeat(ids, each)[:, None],
        boxes.reshape(count * each, 4),
        predictions["scores"].reshape(-1, 1),
        predictions["classes"].reshape(-1, 1),
    )
    return np.concatenate(columns, axis=1)


def _document(pictures, objects, categories):
    return {
        "images": pictures,
        "annotations": objects,
        "categories": [{"id": number} for number in categories],
    }
