"""Print how the case sam_h compares with transformers: preprocessing, masks, module, synthetic weights."""

import io
import json

import job_stub
import numpy as np
import torch
import transformers
from PIL import Image

MANIFEST = job_stub.enter("sam_h")

from case import masks, model, task  # noqa: E402
from harness.inputs.generated_pictures import picture  # noqa: E402
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil  # noqa: E402

SIZES = ((1200, 900), (700, 1024), (2646, 1764), (613, 777))
SMALL = {
    "hidden_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "global_attn_indexes": [1],
    "mlp_dim": 192,
}


def preprocessing():
    """Largest difference to SamProcessor's pixels and points, over sizes of pictures."""
    processor = transformers.SamProcessor(SamImageProcessorPil())
    prompt = task.make_task(job_stub.job(MANIFEST, "."))
    pixels, points = [], []
    for number, (width, height) in enumerate(SIZES):
        image = Image.fromarray(picture(0, number, width, height))
        payload = io.BytesIO()
        image.save(payload, "PNG")
        ours = prompt.prepare(payload.getvalue())
        theirs = processor(image, input_points=[[[450, 600]]], return_tensors="np")
        pixels.append(np.abs(ours["pixel_values"] - theirs["pixel_values"][0]).max())
        points.append(np.abs(ours["points"] - theirs["input_points"][0]).max())
    return float(max(pixels)), float(max(points))


def upscaling():
    """Pixels that differ from SamProcessor.post_process_masks."""
    logits = np.random.RandomState(0).standard_normal((1, 3, 256, 256)).astype(np.float32)
    processor = SamImageProcessorPil()
    different = 0
    for width, height in SIZES:
        inner = task.resized_size((width, height), 1024)
        theirs = processor.post_process_masks(
            [torch.from_numpy(logits)], [(height, width)], [(inner[1], inner[0])]
        )[0][0].numpy()
        different += int((masks.upscaled(logits[0], (width, height), 1024) != theirs).sum())
    return different


def small_module():
    """Outputs of the case's module, small, in fp32 and bf16, and of transformers' own model."""
    model.VISION.update(SMALL)
    found = {}
    module = model.build(None, None, True, 0)
    inputs = [
        torch.from_numpy(picture(0, n, 1024, 1024)).permute(2, 0, 1)[None].float() / 64 - 2
        for n in range(2)
    ]
    points = torch.tensor([[[[384.0, 512.0]]]])
    labels = torch.ones(1, 1, 1, dtype=torch.int64)
    with torch.inference_mode():
        theirs = module.network(pixel_values=inputs[0], input_points=points, input_labels=labels)
        scores, first = module(inputs[0], points)
        other = module(inputs[1], points)[1]
        # The labels that a user gives are what the case leaves to the library.
        found["difference"] = float((first - theirs.pred_masks).abs().max())
        found["shapes"] = [list(scores.shape), list(first.shape)]
        half = model.build(None, None, True, 0).to(torch.bfloat16)
        rounded = half(inputs[0].bfloat16(), points.bfloat16())[1].float()
    found["bf16_cosine"] = cosine(first, rounded)
    found["other_picture_cosine"] = cosine(first, other)
    found["positive"] = float((first > 0).float().mean())
    found["embedding_std"] = float(module.network.shared_image_embedding.positional_embedding.std())
    return found


def saved_folder(folder):
    """Whether a saved folder gives the same outputs again, and what is said of another architecture."""
    from harness.errors import StageFailure

    module = model.build(None, None, True, 0)
    model.save(module, folder)
    inputs = torch.zeros(1, 3, 1024, 1024), torch.tensor([[[[384.0, 512.0]]]])
    with torch.inference_mode():
        again = model.build(folder, "huggingface", False, 0)(*inputs)[1]
        same = torch.equal(module(*inputs)[1], again)
    model.VISION["hidden_size"] = 1280
    try:
        model.build(folder, "huggingface", False, 0)
    except StageFailure as error:
        return same, error.kind, error.message
    return same, "accepted", ""


def cosine(left, right):
    """Of all values."""
    return float(torch.nn.functional.cosine_similarity(left.flatten(), right.flatten(), dim=0))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        print(  # noqa: T201
            json.dumps(
                {
                    "pixels_points": preprocessing(),
                    "upscaling": upscaling(),
                    "module": small_module(),
                    "saved": saved_folder(folder),
                }
            )
        )
