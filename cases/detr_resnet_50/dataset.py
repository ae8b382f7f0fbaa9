"""COCO's validation pictures and their objects, or generated ones. Runs in the reference image alone."""

import io
import json

import numpy as np
from case import coco
from case.published_files import published_files
from harness.errors import StageFailure, one_line
from harness.inputs.generated_pictures import picture
from harness.inputs.items import Item

ANNOTATIONS = "annotations/instances_val2017.json"
PICTURES = "val2017/"
YEAR = 2017
REMEDY = (
    "DATA=<a folder with annotations/instances_val2017.json and val2017/, or with COCO's own "
    "val2017.zip and annotations_trainval2017.zip>, or DATA=synthetic"
)
#: What is read of each list in the file.
FIELDS = {
    "images": ("id", "width", "height", "file_name"),
    "annotations": ("image_id", *coco.KEPT),
    "categories": ("id", "name"),
}
NAMED = 3
JPEG_QUALITY = 90
#: Generated pictures have these sizes in turn, as shares of the asked width and height: COCO's most frequent.
SHAPES = ((1.0, 1.0), (1.0, 0.89), (0.75, 1.333), (1.0, 0.75))
OBJECTS = (1, 8)


def read(source, job):  # noqa: ARG001
    """Yield a picture per item, in the file's order. Raises StageFailure (data) for another file."""
    with published_files(source, REMEDY) as files:
        document = _document(files)
        _require_categories(document)
        objects = _by_picture(document)
        _require_pictures(files, document["images"])
        for one in document["images"]:
            payload = files.read(PICTURES + one["file_name"])
            _require_size(one, payload)
            yield Item(payload, coco.label(one, objects[one["id"]]), PICTURES + one["file_name"])


def synthetic(job, spec):  # noqa: ARG001
    """Yield ``spec["count"]`` JPEG files of COCO's sizes; their objects are random."""
    from PIL import Image

    random = np.random.RandomState(spec["seed"])
    for number in range(spec["count"]):
        across, down = SHAPES[number % len(SHAPES)]
        width, height = round(spec["width"] * across), round(spec["height"] * down)
        payload = io.BytesIO()
        pixels = picture(spec["seed"], number, width, height)
        Image.fromarray(pixels).save(payload, "JPEG", quality=JPEG_QUALITY)
        one = {"id": number + 1, "width": width, "height": height}
        name = "synthetic_{:012d}.jpg".format(number + 1)
        yield Item(payload.getvalue(), coco.label(one, _random_objects(random, one)), name)


def _random_objects(random, one):
    found = []
    for number in range(random.randint(*OBJECTS)):
        width, height = (random.uniform(0.05, 0.6) * one[side] for side in ("width", "height"))
        left, top = (
            random.uniform(0, one["width"] - width),
            random.uniform(0, one["height"] - height),
        )
        found.append(
            {
                "id": OBJECTS[1] * one["id"] + number,
                "category_id": int(random.choice(list(coco.CATEGORIES))),
                "bbox": [round(value, 2) for value in (left, top, width, height)],
                "area": round(width * height, 2),
                "iscrowd": 0,
            }
        )
    return found


def _document(files):
    try:
        document = json.loads(files.read(ANNOTATIONS).decode("utf-8"))
    except ValueError as error:
        message = "{} is not whole JSON (cut short?): {}".format(ANNOTATIONS, one_line(error))
        raise StageFailure("data", message, REMEDY) from error
    try:
        year = document.get("info", {}).get("year", YEAR)
        for name, fields in FIELDS.items():
            for one in document[name]:
                [one[field] for field in fields]
    except KeyError as error:
        message = "{} is not COCO's: {} is missing".format(ANNOTATIONS, error)
        raise StageFailure("data", message, REMEDY) from error
    except (TypeError, AttributeError) as error:
        message = "{} is not COCO's: its parts are of other types".format(ANNOTATIONS)
        raise StageFailure("data", message, REMEDY) from error
    if year != YEAR:
        message = "{} is COCO {}, not {}: it has other pictures".format(ANNOTATIONS, year, YEAR)
        raise StageFailure("data", message, REMEDY)
    return document


def _require_categories(document):
    """The model's classes are COCO's category ids: a category of another name would be scored wrongly."""
    given = {one["id"]: one["name"] for one in document["categories"]}
    wrong = [
        "{} is {!r} instead of {!r}".format(number, given.get(number), coco.CATEGORIES.get(number))
        for number in sorted(set(given) | set(coco.CATEGORIES))
        if given.get(number) != coco.CATEGORIES.get(number)
    ]
    if wrong:
        message = "{} has other categories than COCO's 80 ({} given): {}{}".format(
            ANNOTATIONS, len(given), ", ".join(wrong[:NAMED]), ", …" * (len(wrong) > NAMED)
        )
        raise StageFailure("data", message, REMEDY)


def _require_pictures(files, pictures):
    missing = [one["file_name"] for one in pictures if not files.has(PICTURES + one["file_name"])]
    if missing:
        message = "{} of {} pictures are missing in {}: {}{}".format(
            len(missing),
            len(pictures),
            PICTURES,
            ", ".join(missing[:NAMED]),
            ", …" * (len(missing) > NAMED),
        )
        remedy = "unpack the whole val2017.zip; for fewer pictures: LIMIT=<how many>"
        raise StageFailure("data", message, remedy)


def _by_picture(document):
    """Picture id → its objects."""
    objects = {one["id"]: [] for one in document["images"]}
    for one in document["annotations"]:
        wrong = _wrong(one, objects)
        if wrong:
            message = "{}: object {} {}".format(ANNOTATIONS, one["id"], wrong)
            raise StageFailure("data", message, REMEDY)
        objects[one["image_id"]].append(one)
    return objects


def _wrong(one, objects):
    """What is wrong with an object, None if nothing is."""
    if one["image_id"] not in objects:
        return "is in picture {}, which is not listed".format(one["image_id"])
    if one["category_id"] not in coco.CATEGORIES:
        return "has category {}, which is not listed".format(one["category_id"])
    numbers = [value for value in one["bbox"] if isinstance(value, (int, float))]
    if len(numbers) != len(one["bbox"]) or len(numbers) != 4:
        return "has the bbox {}, which is not four numbers".format(one["bbox"])
    return None


def _require_size(one, payload):
    """A picture that is whole, and of the size that its boxes are for."""
    from PIL import Image

    name = PICTURES + one["file_name"]
    try:
        with Image.open(io.BytesIO(payload)) as opened:
            size = opened.size
            # All bytes are read, but most of the arithmetic is left out.
            opened.draft("RGB", (1, 1))
            opened.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        message = "{} is not a whole picture (cut short?): {}".format(name, one_line(error))
        remedy = "copy it again from val2017.zip"
        raise StageFailure("data", message, remedy) from error
    if size != (one["width"], one["height"]):
        message = "{} is {} x {}, but {} says {} x {}".format(
            name, *size, ANNOTATIONS, one["width"], one["height"]
        )
        raise StageFailure("data", message, REMEDY)
