"""Image classification, as the ImageNet cases share it: preprocessing by case.toml, top-5 scoring."""

from typing import Any, Dict

import numpy as np

from harness.errors import StageFailure
from harness.inputs import image_decoder
from harness.inputs.scratch import Scratch
from harness.job import Arrays, Job
from harness.task import Task, UnevenItem
from harness.tasks.picture_tensor import PictureTensor

TOP = 5


class ImageClassification(Task):
    """Bytes of an image → float32 [3, H, W]; logits [B, classes] → the TOP best classes.

    ``job.preprocess`` (case.toml) has the constants: ``resize`` (an int for the shorter side, as in
    torchvision, or [height, width]), ``crop`` (side of the centre square; optional), ``interpolation``
    (nearest, bilinear, bicubic, lanczos: Pillow's, antialiased), ``mean`` and ``std`` per channel, for
    pixels scaled to 0…1.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        try:
            self._tensor = PictureTensor(job.preprocess)
        except KeyError as error:
            raise StageFailure(
                "contract",
                "the case's preprocess constants lack {}".format(error),
                "add it under [preprocess] in cases/{}/case.toml".format(job.case),
            ) from error
        self._scratch = Scratch()
        self._input = job.inputs[0].name
        self._logits = job.outputs[0].name

    def prepare(self, payload: bytes) -> Arrays:
        """One image → {input: float32 [3, H, W]}. Raises image_decoder.NotAnImage.

        The harness calls it for the first image, by which it also chooses how the others are resized.
        """
        pixels = image_decoder.decode_pixels(payload, self._scratch)
        self._tensor.choose(pixels)
        return {self._input: self._tensor.fresh(pixels)}

    def prepare_into(self, payload: bytes, rows: Arrays) -> None:
        """As ``prepare``, into ``rows``; nothing of a picture's size is allocated."""
        pixels = image_decoder.decode_pixels(payload, self._scratch)
        if not self._tensor.fits(pixels, rows[self._input]):
            raise UnevenItem({self._input: self._tensor.fresh(pixels)})
        self._tensor.write(pixels, rows[self._input])

    def decode(self, outputs: Arrays) -> Arrays:
        """Logits → {"classes": int32 [B, up to 5], best first; the lower class wins a tie}."""
        return {"classes": top_classes(outputs[self._logits], TOP)}

    def details(self) -> Dict[str, Any]:
        """The library that decodes the images, and what resizes them."""
        return {"decoder": image_decoder.decoder(), "resampling": self._tensor.resampling}

    def score(self, predictions: Arrays, labels: np.ndarray) -> Dict[str, float]:
        """Top-1 … top-5 accuracy in percent, against integer labels [N]."""
        hits = predictions["classes"] == np.asarray(labels).reshape(-1, 1)
        within = np.cumsum(hits, axis=1, dtype=np.int64) > 0
        return {
            "top{}".format(k + 1): 100.0 * float(np.mean(within[:, k]))
            for k in range(within.shape[1])
        }

    def agree(self, predictions: Arrays, golden: Arrays) -> Dict[str, float]:
        """Percentage of items whose golden best class is among the first 1 … 5."""
        return self.score(predictions, golden["classes"][:, 0])

    def same(self, predictions: Arrays, others: Arrays) -> np.ndarray:
        """Whether the best class is the same: bool [items]."""
        return predictions["classes"][:, 0] == others["classes"][:, 0]


def top_classes(logits: np.ndarray, count: int) -> np.ndarray:
    """int32 [B, min(count, classes)]: the best classes of logits [B, classes], best first."""
    count = min(count, logits.shape[1])
    best = np.argpartition(-logits, count - 1, axis=1)[:, :count]
    best.sort(axis=1)  # with it, the stable sort below lets the lower class win a tie
    order = np.argsort(-np.take_along_axis(logits, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1).astype(np.int32)
