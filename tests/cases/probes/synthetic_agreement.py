"""Print how bf16 differs from fp32 with a case's synthetic weights on generated pictures."""

import json
import sys

import numpy as np
import torch
from case_module import load
from harness.inputs.generated_pictures import picture

COUNT, BATCH = 16, 16


def logits(network, pixels):
    """Give float32 [COUNT, classes]."""
    with torch.inference_mode():
        parts = [network(pixels[n : n + BATCH])[0].float() for n in range(0, COUNT, BATCH)]
    return torch.cat(parts)


def compare(case):
    """Compare one case."""
    stack = np.stack([picture(7, number, 224, 224) for number in range(COUNT)])
    pixels = torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 63.75 - 2
    model = load(case)
    network = model.build(None, None, True, 0)
    first = [float(value) for value in network(pixels[:1])[0][0, :5]]
    exact = logits(network, pixels)
    rounded = logits(network.to(torch.bfloat16), pixels.bfloat16())
    cosines = torch.nn.functional.cosine_similarity(exact, rounded)
    return {
        "classes": exact.argmax(1).unique().numel(),
        "agreement": float((exact.argmax(1) == rounded.argmax(1)).float().mean()),
        "cosine_min": float(cosines.min()),
        "first": first,
        "first_again": [
            float(value) for value in model.build(None, None, True, 0)(pixels[:1])[0][0, :5]
        ],
        "first_other_seed": [
            float(value) for value in model.build(None, None, True, 1)(pixels[:1])[0][0, :5]
        ],
    }


print(json.dumps(compare(sys.argv[1])))  # noqa: T201
