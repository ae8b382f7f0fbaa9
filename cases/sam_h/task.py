"""One picture, one point → three masks, scored against the golden masks."""

import numpy as np
from harness.errors import StageFailure
from harness.inputs import image_decoder
from harness.inputs.dataset import Dataset
from harness.task import Task
from harness.tasks.preprocessing import normalisation_table


class PointPrompt(Task):
    """Preprocesses as SamProcessor: longest side ``side``, normalised, padded with zeros right and below.

    ``job.preprocess``: ``side`` (pixels), ``interpolation`` (Pillow's), ``mean`` and ``std``;
    ``job.case_options["point"]``: x, y in the picture's own pixels.
    """

    def __init__(self, job):
        super().__init__(job)
        constants = job.preprocess
        self._side = constants["side"]
        self._interpolation = constants["interpolation"]
        self._table = normalisation_table(constants["mean"], constants["std"])
        self._point = job.case_options["point"]

    def prepare(self, payload):
        """One picture → pixel_values float32 [3, side, side], points float32 [1, 1, 2].

        Raises image_decoder.NotAnImage, and StageFailure (data) if the point is outside the picture.
        """
        from PIL import Image

        picture = image_decoder.decode_rgb(payload)
        size = picture.size
        points = self._resized_point(size)
        target = resized_size(size, self._side)
        pixels = np.asarray(picture.resize(target, getattr(Image, self._interpolation.upper())))
        tensor = np.zeros((3, self._side, self._side), np.float32)
        for channel in range(3):
            part = tensor[channel, : target[1], : target[0]]
            part[...] = self._table[channel][pixels[:, :, channel]]
        return {"pixel_values": tensor, "points": points}

    def decode(self, outputs):
        """Return the logits unchanged: masks float32 [B, 3, 256, 256], iou_scores float32 [B, 3].

        Boolean masks in the picture's size are made only for scoring, since they take 9 MB each.
        """
        return {"masks": outputs["masks"][:, 0], "iou_scores": outputs["iou_scores"][:, 0]}

    def details(self):
        """The library that decodes the picture, and the point."""
        return {"decoder": image_decoder.decoder(), "point": list(self._point)}

    def score(self, predictions, labels):  # noqa: ARG002  # every item is the same picture
        """Score against the golden masks: the user's ``sam_gt_0..2`` if there are any, else fp32's."""
        from case import masks

        size = self._picture_size()
        expected = masks.upscaled(self._golden_logits(), size, self._side)
        given = masks.read(self.job.path("labels"), size)
        if given is not None:
            # The user's masks are sorted by size; the model's are in its own order.
            expected = given[np.argsort(masks.by_size(expected))]
        return masks.score(predictions["masks"], expected, size, self._side)

    def agree(self, predictions, golden):
        """Return the same figures, against fp32's masks of the same picture."""
        from case import masks

        size = self._picture_size()
        expected = masks.upscaled(golden["masks"][0], size, self._side)
        return masks.score(predictions["masks"], expected, size, self._side)

    def illustrate(self, predictions, folder):
        """Write fp32's golden masks (sam_gt_0..2.png, smallest first) and the scored ones."""
        from case import masks

        size = self._picture_size()
        expected = masks.upscaled(self._golden_logits(), size, self._side)
        found = masks.upscaled(predictions["masks"][0], size, self._side)
        for number, channel in enumerate(masks.by_size(expected)):
            masks.write(folder / "sam_gt_{}.png".format(number), expected[channel])
            masks.write(folder / "mask_{}.png".format(number), found[channel])

    def _resized_point(self, size):
        width, height = size
        x, y = self._point
        if not (0 <= x < width and 0 <= y < height):
            message = "the point {} is outside the picture, which is {} x {} pixels".format(
                list(self._point), width, height
            )
            remedy = (
                "DATA=<a larger picture>, or another constants.point in cases/{}/case.toml".format(
                    self.job.case
                )
            )
            raise StageFailure("data", message, remedy)
        new_width, new_height = resized_size(size, self._side)
        return np.array([[[x * (new_width / width), y * (new_height / height)]]], np.float32)

    def _golden_logits(self):
        path = self.job.path("golden") / "golden.npz"
        with np.load(str(path), allow_pickle=False) as archive:
            return archive["masks"][0, 0]

    def _picture_size(self):
        """(width, height) of the dataset's picture."""
        dataset = Dataset(self.job.data_dir, 1)
        try:
            return image_decoder.decode_rgb(dataset.read(0)).size
        finally:
            dataset.close()


def resized_size(size, side):
    """(width, height) with the longer side ``side``, rounded half up."""
    scale = side * 1.0 / max(size)
    return tuple(int(length * scale + 0.5) for length in size)


make_task = PointPrompt
