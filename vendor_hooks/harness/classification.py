"""Image classification as ImageNet's cases share it: resize, crop, normalise, top-5."""

import numpy as np

from harness import image
from harness.errors import StageFailure
from harness.task import Task

TOP = 5


class ImageClassification(Task):
    """Bytes of a picture → float32 [3, H, W]; logits [B, classes] → the TOP best classes.

    The constants come from ``job.preprocess`` (case.toml, each with its source): ``resize`` (an int:
    the shorter side, as torchvision; or [height, width]), ``crop`` (centre square, absent: none),
    ``interpolation`` (nearest, bilinear, bicubic, lanczos; Pillow's, antialiased), ``mean`` and
    ``std`` per channel for pixels scaled to 0…1.
    """

    def __init__(self, job):
        super().__init__(job)
        constants = job.preprocess
        try:
            self._resize = constants["resize"]
            self._crop = constants.get("crop")
            self._interpolation = constants["interpolation"]
            self._table = normalisation_table(constants["mean"], constants["std"])
        except KeyError as error:
            raise StageFailure(
                "contract",
                "the case's preprocess constants lack {}".format(error),
                "add it under [preprocess] in cases/{}/case.toml".format(job.case),
            ) from error
        self._input = job.inputs[0].name
        self._logits = job.outputs[0].name

    def prepare(self, payload):
        """One picture → {input: float32 [3, H, W]}. Raises image.NotAnImage."""
        picture = resized(image.decode_rgb(payload), self._resize, self._interpolation)
        if self._crop:
            picture = centre_cropped(picture, self._crop)
        pixels = np.asarray(picture)
        tensor = np.empty((3,) + pixels.shape[:2], np.float32)
        for channel in range(3):
            # One look-up: exact to the bit with divide, subtract, divide in float32, and faster.
            np.take(self._table[channel], pixels[:, :, channel], out=tensor[channel], mode="clip")
        return {self._input: tensor}

    def decode(self, outputs):
        """Logits → {"classes": int32 [B, up to 5], best first; a tie goes to the lower class}."""
        return {"classes": top_classes(outputs[self._logits], TOP)}

    def details(self):
        """Which library decodes the pictures."""
        return {"decoder": image.decoder()}

    def score(self, predictions, labels):
        """Top-1 … top-5 accuracy in percent, against integer labels [N]."""
        hits = predictions["classes"] == np.asarray(labels).reshape(-1, 1)
        within = np.cumsum(hits, axis=1, dtype=np.int64) > 0
        return {
            "top{}".format(k + 1): 100.0 * float(np.mean(within[:, k]))
            for k in range(within.shape[1])
        }

    def agree(self, predictions, golden):
        """Share of items, in percent, whose golden best class is among the first 1 … 5."""
        return self.score(predictions, golden["classes"][:, 0])

    def same(self, predictions, others):
        """The same best class."""
        return predictions["classes"][:, 0] == others["classes"][:, 0]


def normalisation_table(mean, std):
    """float32 [3, 256]: what each channel's 256 pixel values become."""
    scaled = np.arange(256, dtype=np.float32) / np.float32(255)
    mean = np.asarray(mean, np.float32).reshape(-1, 1)
    std = np.asarray(std, np.float32).reshape(-1, 1)
    return np.ascontiguousarray((scaled - mean) / std)


def resized(picture, size, interpolation):
    """``picture`` (PIL) with its shorter side ``size``, or exactly ``size`` = [height, width].

    The longer side is truncated to an int, as torchvision's Resize does.
    """
    from PIL import Image

    width, height = picture.size
    if isinstance(size, int):
        shorter = min(width, height)
        target = (size * width // shorter, size * height // shorter)
    else:
        target = (size[1], size[0])
    if target == (width, height):
        return picture
    # The names stand on the module in Pillow 4 to 13, the Resampling enum only from 9.1.
    return picture.resize(target, getattr(Image, interpolation.upper()))


def centre_cropped(picture, size):
    """The centre ``size`` × ``size`` of ``picture`` (PIL), rounded as torchvision's CenterCrop."""
    width, height = picture.size
    left = round((width - size) / 2)
    top = round((height - size) / 2)
    return picture.crop((left, top, left + size, top + size))


def top_classes(logits, count):
    """int32 [B, min(count, classes)]: the best classes of logits [B, classes], best first."""
    count = min(count, logits.shape[1])
    best = np.argpartition(-logits, count - 1, axis=1)[:, :count]
    best.sort(axis=1)  # so that the stable sort below gives ties to the lower class
    order = np.argsort(-np.take_along_axis(logits, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1).astype(np.int32)
