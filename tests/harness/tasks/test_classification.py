"""ImageNet's preprocessing to the bit, top-5, and accuracy in percent."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tests.harness.job_folder import job_document
from tests.harness.modules import classification, errors
from tests.harness.modules import job as job_module

MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]


def make_task(**preprocess: Any) -> Any:
    constants = {"resize": 256, "crop": 224, "interpolation": "bilinear", "mean": MEAN, "std": STD}
    document = job_document(preprocess={**constants, **preprocess})
    return classification.ImageClassification(job_module.Job("/job", document, "infer"))


def picture(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(width * height)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def as_png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


# The longer side becomes 341 or 343, which leaves half a pixel: 58.5 is rounded down, 59.5 up.
@pytest.mark.parametrize(
    "size",
    [(500, 375), (375, 500), (671, 500), (500, 671), (224, 224), (31, 900), (256, 256)],
)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_the_tensor_is_what_torchvision_s_transforms_compute(
    size: tuple[int, int], interpolation: str
) -> None:
    source = picture(*size)
    width, height = size
    scaled = (
        (256, int(256 * height / width)) if width <= height else (int(256 * width / height), 256)
    )
    resized = source.resize(scaled, getattr(Image.Resampling, interpolation.upper()))
    left, top = round((scaled[0] - 224) / 2.0), round((scaled[1] - 224) / 2.0)
    pixels = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float32)
    chw = pixels.transpose(2, 0, 1) / np.float32(255)
    mean, std = (np.asarray(v, np.float32).reshape(3, 1, 1) for v in (MEAN, STD))
    found = make_task(interpolation=interpolation).prepare(as_png(source))["input"]
    assert (found.dtype, found.shape) == (np.float32, (3, 224, 224))
    assert found.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(found, (chw - mean) / std)


def test_an_exact_size_without_crop_squashes_the_picture() -> None:
    task = make_task(resize=[32, 48], crop=None)
    assert task.prepare(as_png(picture(100, 50)))["input"].shape == (3, 32, 48)


def test_a_missing_constant_is_named() -> None:
    document = job_document(preprocess={"resize": 224})
    with pytest.raises(errors.StageFailure, match="interpolation") as caught:
        classification.ImageClassification(job_module.Job("/job", document, "infer"))
    assert caught.value.kind == "contract"


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 40)),
        elements=st.floats(-9, 9, width=32),
    )
)
def test_top_classes_are_the_largest_logits_best_first(logits: Any) -> None:
    best = classification.top_classes(logits, 5)
    count = min(5, logits.shape[1])
    assert (best.dtype, best.shape) == (np.int32, (len(logits), count))
    for row, found in zip(logits, best, strict=True):
        np.testing.assert_array_equal(row[found], -np.sort(-row)[:count])
        assert len(set(found.tolist())) == count


def test_equal_logits_go_to_the_lower_class() -> None:
    assert classification.top_classes(np.zeros((1, 5), np.float32), 5).tolist() == [[0, 1, 2, 3, 4]]


def test_accuracy_is_in_percent_and_counts_the_first_k() -> None:
    predictions = {"classes": np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 1, 2]])}
    assert make_task().score(predictions, [1, 6, 0, 1]) == {
        "top1": 25.0,
        "top2": 50.0,
        "top3": 75.0,
    }


def test_agreement_is_with_the_reference_s_best_class() -> None:
    predictions = {"classes": np.array([[1, 2], [4, 5]])}
    golden = {"classes": np.array([[2, 9], [4, 1]])}
    assert make_task().agree(predictions, golden) == {"top1": 50.0, "top2": 100.0}


def test_decode_takes_the_declared_output() -> None:
    logits = np.zeros((2, 6), np.float32)
    logits[0, 3] = logits[1, 5] = 1
    assert make_task().decode({"logits": logits})["classes"][:, 0].tolist() == [3, 5]
