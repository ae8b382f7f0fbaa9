"""Verb data: makes a synthetic dataset in out/data and out/labels, in the layout of real datasets.

``case_options.synthetic`` says what to make: ``count``, ``width``, ``height`` (pixels) and ``seed``.
Labels, class names and prompts are random, so an accuracy on them is meaningless.
"""

import concurrent.futures
import hashlib
import io

import numpy as np
from harness import files
from harness.errors import StageFailure
from harness.inputs.generated_pictures import picture

JPEG_QUALITY = 90
#: ImageNet's synsets begin with n0 and n1, so these are not among them.
CLASS_NAME = "n9{:07d}"

PROMPT = "a {} {} on a {} {} in the {}"
PROMPT_WORDS = (
    ("red", "small", "wooden", "yellow", "broken", "shiny", "plain", "green"),
    ("bicycle", "teapot", "camera", "chair", "violin", "boat", "kettle", "clock", "lamp"),
    ("stone", "glass", "round", "dusty", "white", "narrow"),
    ("table", "bridge", "shelf", "beach", "roof", "street", "lawn"),
    ("morning", "rain", "snow", "evening", "fog", "sun"),
)


def run(job, report, progress):
    """Make the items and write them one by one, then labels and index."""
    # The driver runs this verb in place of the export stage.
    report.stage = job.document["stage"]
    if job.document["task"] not in SOURCES:
        message = "there is no synthetic dataset for task {}".format(job.document["task"])
        raise StageFailure("data", message, "DATA=<folder>")
    spec = job.case_options["synthetic"]
    items, labels = SOURCES[job.document["task"]](job, spec)
    progress.phase("draw", spec["count"], "items")
    index = _write_items(job.out_dir / "data", items, progress)
    if len(index["items"]) == 1:
        index.update(items=_repeated(index["items"][0], spec["count"]), count=spec["count"])
    (job.out_dir / "labels").mkdir(parents=True, exist_ok=True)
    files.write_json(job.out_dir / "labels" / "labels.json", labels)
    files.write_json(job.out_dir / "data" / "index.json", index)
    report.details["synthetic"] = spec


def _classified_pictures(job, spec):
    """JPEG files, each with a random class out of as many as the model has outputs."""
    classes = job.outputs[0].shape[-1]
    numbers = np.random.RandomState(spec["seed"]).randint(classes, size=spec["count"]).tolist()
    names = [CLASS_NAME.format(number) for number in range(classes)]
    labels = {
        "schema": "assay/labels/1",
        "labels": numbers,
        "classes": names,
        "names": [
            "{}/synthetic_{:08d}.JPEG".format(names[number], item + 1)
            for item, number in enumerate(numbers)
        ],
    }
    return _jpegs(spec, job.threads), labels


def _one_picture(job, spec):
    """One JPEG file; the dataset is this picture, ``count`` times."""
    labels = {
        "schema": "assay/labels/1",
        "labels": [0] * spec["count"],
        "classes": [],
        "names": ["synthetic.jpg"] * spec["count"],
    }
    return _jpegs(dict(spec, count=1), job.threads), labels


def _repeated(item, count):
    """``count`` items of an index that share the same bytes."""
    return [dict(item, id="{:06d}".format(number)) for number in range(1, count + 1)]


def _prompts(_, spec):
    """Sentences in UTF-8, about as long as captions of photographs."""
    random = np.random.RandomState(spec["seed"])
    texts = [
        PROMPT.format(*(words[random.randint(len(words))] for words in PROMPT_WORDS))
        for _ in range(spec["count"])
    ]
    labels = {
        "schema": "assay/labels/1",
        "labels": texts,
        "classes": [],
        "names": ["synthetic.txt:{}".format(number) for number in range(1, len(texts) + 1)],
    }
    return (text.encode("utf-8") for text in texts), labels


def _jpegs(spec, threads):
    """Yield ``count`` JPEG files in order, made ahead of time by ``threads`` threads."""

    def draw(number):
        from PIL import Image

        payload = io.BytesIO()
        pixels = picture(spec["seed"], number, spec["width"], spec["height"])
        Image.fromarray(pixels).save(payload, "JPEG", quality=JPEG_QUALITY)
        return payload.getvalue()

    window = 64
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for start in range(0, spec["count"], window):
            for payload in pool.map(draw, range(start, min(start + window, spec["count"]))):
                yield payload


def _write_items(folder, items, progress):
    """Write items.bin; return the document for index.json."""
    folder.mkdir(parents=True, exist_ok=True)
    digest, entries, offset = hashlib.sha256(), [], 0
    with (folder / "items.bin").open("wb") as stream:
        for number, payload in enumerate(items, start=1):
            stream.write(payload)
            digest.update(payload)
            entries.append(
                {"id": "{:06d}".format(number), "offset": offset, "length": len(payload)}
            )
            offset += len(payload)
            progress.done = number
    return {
        "schema": "assay/dataset/1",
        "kind": "file",
        "count": len(entries),
        "file": "items.bin",
        "bytes": offset,
        "sha256": digest.hexdigest(),
        "items": entries,
        "tensors": [],
    }


#: Task → function that makes the items and labels of its dataset.
SOURCES = {
    "image-classification": _classified_pictures,
    "mask-generation": _one_picture,
    "text-to-image": _prompts,
}
