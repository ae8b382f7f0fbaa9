"""Print what the case sam_h makes of masks that are known: scores, the user's golden masks, pictures."""

import io
import json
import pathlib
import sys
import tempfile

import job_stub
import numpy as np
import torch
from PIL import Image

MANIFEST = job_stub.enter("sam_h")

from case import masks, task  # noqa: E402
from harness.errors import StageFailure  # noqa: E402
from harness.inputs.generated_pictures import picture  # noqa: E402
from harness.inputs.image_decoder import NotAnImage  # noqa: E402

WIDTH, HEIGHT = 1024, 768


def squares(*sides):
    """Logits [3, 256, 256]: squares from the upper left, in the model's pixels."""
    logits = np.full((3, 256, 256), -1, np.float32)
    for logit, side in zip(logits, sides, strict=True):
        logit[:side, :side] = 1
    return logits


def encoded(image, kind="PNG"):
    payload = io.BytesIO()
    image.save(payload, kind)
    return payload.getvalue()


def make_job(folder):
    """A job folder with one picture, given three times, and golden logits."""
    payload = encoded(Image.fromarray(picture(0, 0, WIDTH, HEIGHT)))
    (folder / "data").mkdir()
    (folder / "labels").mkdir()
    (folder / "golden").mkdir()
    (folder / "data" / "items.bin").write_bytes(payload)
    items = [{"id": f"{n:06d}", "offset": 0, "length": len(payload)} for n in (1, 2, 3)]
    index = {"schema": "assay/dataset/1", "kind": "file", "count": 3, "items": items}
    index.update(file="items.bin", bytes=len(payload))
    (folder / "data" / "index.json").write_text(json.dumps(index))
    golden = {"masks": squares(128, 32, 64)[None, None], "iou_scores": np.zeros((1, 1, 3))}
    np.savez(folder / "golden" / "golden.npz", **golden)
    return job_stub.job(MANIFEST, folder, stage="score")


def predicted(*logits):
    return {"masks": np.stack(logits), "iou_scores": np.zeros((len(logits), 3))}


def refusal(call, *arguments):
    """How bad input is refused: its kind and message, or that it was not."""
    try:
        call(*arguments)
    except StageFailure as error:
        return [error.kind, error.message]
    except NotAnImage as error:
        return ["not an image", str(error)]
    return ["accepted", ""]


def users_masks(prompt, folder):
    """Scores against the user's masks in each form, then what is said of bad ones."""
    exact = squares(128, 32, 64)
    truth = masks.upscaled(exact, (WIDTH, HEIGHT), 1024)[[1, 2, 0]]
    forms, labels = {}, folder / "labels"
    for suffix, write in WRITERS.items():
        for number, mask in enumerate(truth):
            write(labels / f"sam_gt_{number}{suffix}", mask)
        forms[suffix] = prompt.score(predicted(exact), [0])
        if suffix != ".npy":
            for path in labels.iterdir():
                path.unlink()
    bad = {}
    np.save(labels / "sam_gt_1.npy", truth[1][:-1])
    bad["size"] = refusal(prompt.score, predicted(exact), [0])
    (labels / "sam_gt_1.npy").write_bytes(b"no array")
    bad["unreadable"] = refusal(prompt.score, predicted(exact), [0])
    (labels / "sam_gt_1.npy").unlink()
    bad["missing"] = refusal(prompt.score, predicted(exact), [0])
    return forms, bad


WRITERS = {
    ".pt": lambda path, mask: torch.save(torch.from_numpy(mask), path),
    ".png": lambda path, mask: Image.fromarray(mask).save(path),
    ".npy": np.save,
}


def main(folder):
    """Collect everything."""
    prompt = task.make_task(make_job(folder))
    golden = {"masks": squares(128, 32, 64)[None], "iou_scores": np.zeros((1, 3))}
    exact, half = squares(128, 32, 64), squares(128, 32, 32)
    found = {
        "exact": prompt.score(predicted(exact, exact, exact), [0, 0, 0]),
        "half": prompt.score(predicted(half), [0]),
        "mixed": prompt.score(predicted(exact, half), [0, 0]),
        "agree": prompt.agree(predicted(half), golden),
        "empty": prompt.agree(predicted(squares(0, 0, 0)), {"masks": squares(0, 0, 0)[None]}),
    }
    prompt.illustrate(predicted(half), folder / "pictures")
    found["pictures"] = {
        path.name: [*Image.open(path).size, int(np.asarray(Image.open(path)).sum())]
        for path in sorted((folder / "pictures").iterdir())
    }
    small = Image.fromarray(picture(0, 0, 400, 300))
    found["outside"] = refusal(prompt.prepare, encoded(small))
    found["no_image"] = refusal(prompt.prepare, b"\xff\xd8\xff no picture")
    found["forms"], found["bad"] = users_masks(prompt, folder)
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        document = main(pathlib.Path(place))
    json.dump(document, sys.stdout, default=float)
