"""Print how detr_resnet_50 compares with transformers and the original DETR: inputs, outputs, weights, counts."""

import io
import json
import pathlib
import tempfile
import types

import job_stub
import numpy as np
import torch
from detr_original import random_original
from PIL import Image

MANIFEST = job_stub.enter("detr_resnet_50")

from case import model, published_weights, task  # noqa: E402
from harness.errors import StageFailure  # noqa: E402
from harness.inputs.generated_pictures import picture  # noqa: E402
from harness.job import TensorSpec  # noqa: E402
from hook import macs  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil  # noqa: E402

CONSTANTS = MANIFEST["preprocess"]["default"]
SIZE = CONSTANTS["height"], CONSTANTS["width"]
GRID = tuple(MANIFEST["model"]["inputs"][1]["shape"])
#: (width, height, mode): COCO's usual ones, grey, taller and wider than the model's input, and smaller.
PICTURES = (
    *((640, 480, "RGB"), (480, 640, "RGB"), (427, 640, "L"), (640, 426, "CMYK")),
    *((1600, 400, "RGB"), (2000, 1500, "RGB"), (61, 77, "RGB")),
)
#: Pixels of a small picture, and of what of it is a picture.
HEIGHT, WIDTH, INNER = 160, 224, ((130, 200), (160, 150))
#: What published preprocessing makes of pictures of 4:3 and of 3:2.
PUBLISHED_SHAPES = ((800, 1066), (800, 1200))


def jpeg(number, width, height, mode):
    """One JPEG file."""
    payload = io.BytesIO()
    Image.fromarray(picture(0, number, width, height)).convert(mode).save(payload, "JPEG")
    return payload.getvalue()


def preprocessing():
    """Largest differences to DetrImageProcessor's pixels and its mask, as the model resizes it."""
    processor = DetrImageProcessorPil(
        size={"max_height": SIZE[0], "max_width": SIZE[1]},
        pad_size={"height": SIZE[0], "width": SIZE[1]},
    )
    prepared = task.make_task(job_stub.job(MANIFEST, "."))
    rows = {"pixel_values": np.full((3, *SIZE), 7.0, np.float32), "pixel_mask": np.ones(GRID, int)}
    pixels, masks = [], []
    for number, (width, height, mode) in enumerate(PICTURES):
        payload = jpeg(number, width, height, mode)
        # Into arrays that another picture has left.
        prepared.prepare_into(payload, rows)
        image = Image.open(io.BytesIO(payload)).convert("RGB")
        theirs = processor(image, return_tensors="np")
        pixels.append(np.abs(rows["pixel_values"] - theirs["pixel_values"][0]).max())
        masks.append(int((rows["pixel_mask"] != resized(theirs["pixel_mask"])).sum()))
    return {"pixels": float(max(pixels)), "mask": sum(masks)}


def resized(mask):
    """A pixel mask [1, H, W] as DetrConvEncoder resizes it to the features."""
    found = torch.nn.functional.interpolate(torch.from_numpy(mask)[None].float(), size=GRID)
    return found.to(torch.bool)[0, 0].numpy()


def masks():
    """How many masks of all heights and widths differ from those that the model would make."""
    wrong = 0
    for axis, (length, count) in enumerate(zip(SIZE, GRID, strict=True)):
        seen = torch.ones(length, length).tril()
        theirs = torch.nn.functional.interpolate(seen[:, None], size=count)[:, 0].numpy()
        for side in range(1, length + 1):
            inner = list(SIZE)
            inner[axis] = side
            ours = task.feature_mask(inner, SIZE, GRID)
            line = ours[0] if axis else ours[:, 0]
            wrong += int((line != theirs[side - 1]).any())
    return wrong


def postprocessing():
    """Largest difference of boxes and scores to post_process_object_detection, and other classes."""
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 100, 92, generator=random)
    boxes = torch.rand(2, 100, 4, generator=random)
    sizes = [(480, 640), (640, 427)]
    outputs = types.SimpleNamespace(logits=logits, pred_boxes=boxes)
    theirs = DetrImageProcessorPil().post_process_object_detection(outputs, 0.0, sizes)
    found = task.make_task(job_stub.job(MANIFEST, ".")).decode(
        {"logits": logits.numpy(), "pred_boxes": boxes.numpy()}
    )
    worst, other = 0.0, 0
    for item, (height, width) in enumerate(sizes):
        order = torch.argsort(-theirs[item]["scores"], stable=True)
        expected = {name: value[order].numpy() for name, value in theirs[item].items()}
        scaled = found["boxes"][item] * np.array([width, height, width, height])
        worst = max(worst, np.abs(scaled - expected["boxes"]).max())
        worst = max(worst, np.abs(found["scores"][item] - expected["scores"]).max())
        other += int((found["classes"][item] != expected["labels"]).sum())
    return {"difference": float(worst), "classes": other}


def counted():
    """Parameters, multiply-accumulates, and those of the shapes that the published count is for."""
    with torch.device("meta"):
        network = model.skeleton("sdpa")
    return {
        "parameters": sum(one.numel() for one in network.parameters()),
        "macs": macs_of(*SIZE),
        "published_shapes": [macs_of(*shape) for shape in PUBLISHED_SHAPES],
    }


def macs_of(height, width):
    """Multiply-accumulates of one picture of this shape."""
    pixels, mask = (TensorSpec.read(spec) for spec in MANIFEST["model"]["inputs"])
    grid = (-(-height // 32), -(-width // 32))
    inputs = [pixels._replace(shape=(3, height, width)), mask._replace(shape=grid)]
    return macs.count(types.SimpleNamespace(inputs=inputs, generation=None))


def small_inputs():
    """Two padded pictures: pixels, the mask of pixels, and that of features."""
    pixels, mask = torch.zeros(2, 3, HEIGHT, WIDTH), torch.zeros(2, HEIGHT, WIDTH)
    for item, (height, width) in enumerate(INNER):
        drawn = torch.from_numpy(picture(1, item, width, height)).permute(2, 0, 1).float()
        pixels[item, :, :height, :width] = drawn / 63.75 - 2
        mask[item, :height, :width] = 1
    grid = tuple(-(-length // 32) for length in (HEIGHT, WIDTH))
    of_features = torch.nn.functional.interpolate(mask[None], size=grid)[0].to(torch.int64)
    return pixels, mask, of_features


def difference(found, expected):
    """Largest difference of logits and boxes, relative to the largest of each."""
    return max(
        float((ours - theirs).abs().max() / theirs.abs().max())
        for ours, theirs in zip(found, expected, strict=True)
    )


def weights(folder):
    """Differences to the original's outputs, by the form of the weights, and to transformers' own forward."""
    original = random_original()
    pixels, mask, of_features = small_inputs()
    state = original.state_dict()
    torch.save({"model": state}, str(folder / "detr-r50.pth"))
    with torch.inference_mode():
        expected = original(pixels, mask == 0)
        module = model.build(folder, "pth", False, 0)
        found = {"pth": difference(module(pixels, of_features), expected)}
        theirs = module.network(pixel_values=pixels, pixel_mask=mask)
        found["transformers"] = difference((theirs.logits, theirs.pred_boxes), expected)
        found["spread"] = float(expected[0].std(dim=0).mean())
        for name, written in (("no_timm", None), ("main", state)):
            hub = folder / name
            hub.mkdir()
            model.save(module, hub)
            if written is not None:
                as_main(hub, written)
            again = model.build(hub, "huggingface", False, 0)
            found[name] = difference(again(pixels, of_features), expected)
    found["refused"] = {
        "other queries": refused(folder / "main", config={"num_queries": 300}),
        "dilated": refused(folder / "main", config={"dilation": True}),
        "cut short": refused(folder / "main", cut=True),
    }
    return found


def as_main(folder, state):
    """Rename the backbone's tensors as the revision `main` has them: timm's names, and its batch counters."""
    body = {
        published_weights.OURS + name.removeprefix(published_weights.ORIGINAL): value
        for name, value in state.items()
        if name.startswith(published_weights.ORIGINAL)
    }
    saved = published_weights.read_safetensors(folder / "model.safetensors")
    others = {name: value for name, value in saved.items() if ".backbone." not in name}
    save_file({**others, **body}, str(folder / "model.safetensors"))


def refused(folder, config=None, cut=False):
    """The message with which a changed folder is refused."""
    original = (folder / "config.json").read_text(encoding="utf-8")
    if config:
        changed = {**json.loads(original), **config}
        (folder / "config.json").write_text(json.dumps(changed), encoding="utf-8")
    if cut:
        with (folder / "model.safetensors").open("r+b") as stream:
            stream.truncate(1000)
    try:
        model.build(folder, "huggingface", False, 0)
    except StageFailure as failure:
        return failure.message
    finally:
        (folder / "config.json").write_text(original, encoding="utf-8")
    return None


with tempfile.TemporaryDirectory() as name:
    print(  # noqa: T201
        json.dumps(
            {
                "counted": counted(),
                "preprocessing": preprocessing(),
                "masks": masks(),
                "postprocessing": postprocessing(),
                "weights": weights(pathlib.Path(name)),
            }
        )
    )
