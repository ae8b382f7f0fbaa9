"""Print the accuracy of the committed digits, by the case's own task and model."""

import json
import tomllib
import types

import numpy as np
import torch
from case_module import CASES, load
from harness.job import TensorSpec

FOLDER = CASES / "vit_digits"
MANIFEST = tomllib.loads((FOLDER / "case.toml").read_text(encoding="utf-8"))
JOB = types.SimpleNamespace(
    case="vit_digits",
    preprocess=MANIFEST["preprocess"]["default"],
    inputs=[TensorSpec.read(spec) for spec in MANIFEST["model"]["inputs"]],
    outputs=[TensorSpec.read(spec) for spec in MANIFEST["model"]["outputs"]],
)
task = load("vit_digits", "task").make_task(JOB)
network = load("vit_digits").build(FOLDER / "weights", "huggingface", False, 0)
paths = sorted((FOLDER / "data" / "val").glob("*/*.png"))
pixels = np.stack([task.prepare(path.read_bytes())["input"] for path in paths])
with torch.no_grad():
    logits = network(torch.from_numpy(pixels))[0].numpy()
values = task.score(task.decode({"output": logits}), [int(path.parent.name) for path in paths])
print(json.dumps(dict(values, items=len(paths))))  # noqa: T201
