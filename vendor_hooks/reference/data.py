"""Verb data: makes the dataset in out/data and out/labels that the guest's stages read.

``case_options.source`` has it read from the user's files by the case's dataset.py. Otherwise it is
synthetic, and ``case_options.synthetic`` says what to make: ``layout``, ``count``, ``width``, ``height``
(pixels) and ``seed``; labels, class names and prompts are random, so an accuracy on them is meaningless.
"""

import concurrent.futures
import hashlib
import io
import itertools

import numpy as np
from harness import files
from harness.errors import StageFailure
from harness.inputs.generated_pictures import picture
from harness.plugins import load_dataset

JPEG_QUALITY = 90
#: Between items in items.bin, as the driver writes it, so that its digest depends on where each ends.
SEPARATOR = b"\n"
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
    if "source" in job.case_options:
        _read(job, progress)
        return
    spec = job.case_options["synthetic"]
    progress.phase("draw", spec["count"], "items")
    if spec["layout"] == "own":
        _write(job, load_dataset(job).synthetic(job, spec), progress)
    else:
        items, labels = SOURCES[spec["layout"]](job, spec)
        index = _write_items(job.out_dir / "data", items, progress)
        if len(index["items"]) == 1:
            index.update(items=_repeated(index["items"][0], spec["count"]), count=spec["count"])
        _write_documents(job.out_dir, index, labels)
    report.details["synthetic"] = spec


def _read(job, progress):
    """Write the items that the case's dataset.py reads from the user's files, at most ``count`` of them."""
    wanted = job.case_options["source"]["count"]
    progress.phase("read", wanted or 0, "items")
    _write(job, itertools.islice(load_dataset(job).read(job.path("source"), job), wanted), progress)


def _write(job, items, progress):
    """Write items of the case's own: each a harness.inputs.items.Item."""
    labels = {"schema": "assay/labels/1", "labels": [], "classes": [], "names": []}

    def payloads():
        for item in items:
            labels["labels"].append(item.label)
            labels["names"].append(item.name)
            yield item.payload

    index = _write_items(job.out_dir / "data", payloads(), progress, SEPARATOR)
    if not index["count"]:
        raise StageFailure("data", "it has no items", "DATA=<the whole dataset>")
    _write_documents(job.out_dir, index, labels)


def _write_documents(out, index, labels):
    (out / "labels").mkdir(parents=True, exist_ok=True)
    files.write_json(out / "labels" / "labels.json", labels)
    files.write_json(out / "data" / "index.json", index)


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


def _write_items(folder, items, progress, separator=b""):
    """Write items.bin, ``separator`` after each item; return the document for index.json."""
    folder.mkdir(parents=True, exist_ok=True)
    digest, entries, offset = hashlib.sha256(), [], 0
    with (folder / "items.bin").open("wb") as stream:
        for number, payload in enumerate(items, start=1):
            stream.write(payload + separator)
            digest.update(payload + separator)
            entries.append(
                {"id": "{:06d}".format(number), "offset": offset, "length": len(payload)}
            )
            offset += len(payload) + len(separator)
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


#: Layout → function that makes the items and labels of its synthetic dataset.
SOURCES = {
    "imagefolder": _classified_pictures,
    "picture": _one_picture,
    "prompts": _prompts,
}
