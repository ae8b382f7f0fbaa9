"""Object detection: a picture → 100 boxes with class and score; scored by COCO's average precision."""

import numpy as np
from harness.inputs import image_decoder
from harness.task import Task
from harness.tasks.preprocessing import normalisation_table

#: Detections of fp32 that count as objects where there are no labels: this share, by score.
TRUE_SHARE = 0.5


class ObjectDetection(Task):
    """Preprocesses as DetrImageProcessor: as large as fits, normalised, padded with zeros right and below.

    ``job.preprocess``: ``height`` and ``width`` (pixels) of the model's input, ``stride`` of its features,
    ``interpolation`` (Pillow's), ``mean`` and ``std``.
    """

    def __init__(self, job):
        super().__init__(job)
        constants = job.preprocess
        self._size = constants["height"], constants["width"]
        self._grid = tuple(-(-length // constants["stride"]) for length in self._size)
        self._interpolation = constants["interpolation"]
        self._table = normalisation_table(constants["mean"], constants["std"])

    def prepare(self, payload):
        """One picture → pixel_values float32 [3, height, width], pixel_mask int64 [rows, columns] of features.

        Raises image_decoder.NotAnImage.
        """
        arrays = {
            "pixel_values": np.empty((3, *self._size), np.float32),
            "pixel_mask": np.empty(self._grid, np.int64),
        }
        self.prepare_into(payload, arrays)
        return arrays

    def prepare_into(self, payload, rows):
        """As ``prepare``, into ``rows``."""
        from PIL import Image

        picture = image_decoder.decode_rgb(payload)
        height, width = fitted(picture.size, self._size)
        filter_ = getattr(Image, self._interpolation.upper())
        pixels = np.asarray(picture.resize((width, height), filter_))
        tensor = rows["pixel_values"]
        tensor[:, height:] = 0.0
        tensor[:, :height, width:] = 0.0
        for channel in range(3):
            tensor[channel, :height, :width] = self._table[channel][pixels[:, :, channel]]
        rows["pixel_mask"][...] = feature_mask((height, width), self._size, self._grid)

    def decode(self, outputs):
        """The 100 detections, best first: scores float32 [B, 100], classes int32 [B, 100], boxes [B, 100, 4].

        A score is the softmax of the best class but "no object". A box is left, top, right and bottom, float32,
        as shares of the picture's width and height.
        """
        scores = softmax(outputs["logits"])[..., :-1]
        classes = scores.argmax(axis=-1)
        scores = scores.max(axis=-1)
        order = np.argsort(-scores, axis=1, kind="stable")
        boxes = corners(outputs["pred_boxes"])
        return {
            "scores": np.take_along_axis(scores, order, axis=1).astype(np.float32),
            "classes": np.take_along_axis(classes, order, axis=1).astype(np.int32),
            "boxes": np.take_along_axis(boxes, order[..., None], axis=1).astype(np.float32),
        }

    def details(self):
        """The library that decodes the pictures."""
        return {"decoder": image_decoder.decoder()}

    def score(self, predictions, labels):
        """COCO's average precision in percent: ``map`` (IoU 0.5 to 0.95), ``ap50``, ``ap75``, and by size."""
        from case import average_precision, coco

        return average_precision.of(coco.document(labels), coco.found(predictions, labels))

    def agree(self, predictions, golden):
        """The same figures without those by size; the better half of fp32's detections are the objects."""
        from case import average_precision, coco

        truths = coco.best_of(golden, TRUE_SHARE)
        found = coco.found(predictions, truths["images"])
        return average_precision.of(truths, found, sizes=False)

    def scorer(self):
        """What computed the average precision."""
        from case import average_precision

        return {"scorer": average_precision.scorer()}


def fitted(measures, size):
    """(height, width) of a picture of ``measures`` (width, height), as large as fits in ``size``.

    As DetrImageProcessor computes it (get_image_size_for_max_height_width), truncated.
    """
    width, height = measures
    scale = min(size[0] / height, size[1] / width)
    return int(height * scale), int(width * scale)


def feature_mask(inner, size, grid):
    """int64 [rows, columns]: 1 where a feature's nearest pixel belongs to the picture, as the model computes it.

    ``inner`` (height, width) is the picture's size within ``size``, ``grid`` the number of features.
    """
    seen = [
        np.floor(np.arange(count) * np.float32(length / count)) < part
        for count, length, part in zip(grid, size, inner)
    ]
    return (seen[0][:, None] & seen[1][None, :]).astype(np.int64)


def softmax(logits):
    """float32 [..., classes], which sum up to 1."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def corners(boxes):
    """Centre x, centre y, width, height → left, top, right, bottom: [..., 4]."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


make_task = ObjectDetection
