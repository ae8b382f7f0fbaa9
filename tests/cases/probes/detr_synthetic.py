"""Print how detr_resnet_50's synthetic weights answer: bf16 beside fp32, other pictures, agreement."""

import json

import job_stub
import numpy as np
import torch

MANIFEST = job_stub.enter("detr_resnet_50")

from case import model, task  # noqa: E402
from harness.inputs.generated_pictures import picture  # noqa: E402

COUNT, HEIGHT, WIDTH = 4, 256, 416


def answers(module, pixels):
    """Logits and boxes float32 [COUNT, 100, …]."""
    mask = torch.ones(len(pixels), HEIGHT // 32, WIDTH // 32, dtype=torch.int64)
    with torch.inference_mode():
        return [found.float().numpy() for found in module(pixels, mask)]


def cosine(found, expected):
    """The smallest cosine of a picture's logits."""
    left, right = (array.reshape(COUNT, -1) for array in (found, expected))
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(((left * right).sum(axis=1) / norms).min())


def first(seed):
    """The first logits of the first picture, with weights of a seed."""
    return answers(model.build(None, None, True, seed), drawn[:1])[0][0, 0, :5].tolist()


stack = np.stack([picture(7, number, WIDTH, HEIGHT) for number in range(COUNT)])
drawn = torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 63.75 - 2
network = model.build(None, None, True, 0)
logits, boxes = answers(network, drawn)
rounded = answers(network.to(torch.bfloat16), drawn.bfloat16())
detection = task.make_task(job_stub.job(MANIFEST, "."))
golden, found = (
    detection.decode({"logits": one, "pred_boxes": other})
    for one, other in ((logits, boxes), rounded)
)
print(  # noqa: T201
    json.dumps(
        {
            "classes": len(set(golden["classes"].ravel().tolist())),
            "classes of a picture": min(len(set(one.tolist())) for one in golden["classes"]),
            "best score": float(golden["scores"].max()),
            "bf16": cosine(rounded[0], logits),
            "other picture": cosine(logits[::-1], logits),
            "box spread": float(boxes.std(axis=1).mean()),
            "agreement": detection.agree(found, golden),
            "first": logits[0, 0, :5].tolist(),
            "first again": first(seed=0),
            "other seed": first(seed=1),
        }
    )
)
