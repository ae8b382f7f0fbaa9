"""Weights that are not the architecture's: print the failure that each of them ends in."""

import json
import pathlib
import shutil
import tempfile

import numpy as np
import torch
from harness.errors import StageFailure
from harness.models import vit
from harness.models.classifier import HuggingFaceClassifier
from safetensors.torch import load_file, save_file

CONFIG = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": 8,
    "patch_size": 4,
    "num_labels": 3,
}
CLASSIFIER = HuggingFaceClassifier("ViT", CONFIG, {"pth": vit.from_timm, "npz": vit.from_augreg})
ROOT = pathlib.Path(tempfile.mkdtemp())
OUTCOMES = {}


def record(name, folder, weights_format):
    """Build from a folder and keep what it ends in."""
    try:
        CLASSIFIER.build(folder, weights_format, False, 0)
        OUTCOMES[name] = None
    except StageFailure as error:
        OUTCOMES[name] = {"kind": error.kind, "message": error.message, "remedy": error.remedy}


def good_folder(name):
    """Make a Hugging Face folder of this architecture."""
    folder = ROOT / name
    CLASSIFIER.save(CLASSIFIER.skeleton(), folder)
    return folder


def with_tensors(name, change):
    """Make a Hugging Face folder whose tensors were changed by ``change(state)``."""
    folder = good_folder(name)
    state = load_file(str(folder / "model.safetensors"))
    change(state)
    save_file(state, str(folder / "model.safetensors"), metadata={"format": "pt"})
    record(name, folder, "huggingface")


def with_pth(name, state):
    """Try a state dict as a .pth; ``state`` may be bytes."""
    folder = ROOT / name
    folder.mkdir()
    if isinstance(state, bytes):
        (folder / "weights.pth").write_bytes(state)
    else:
        torch.save(state, str(folder / "weights.pth"))
    record(name, folder, "pth")


def timm_state():
    """Give a state of the right names and shapes."""
    return {name: torch.zeros(shape) for name, shape in vit.timm_shapes(CONFIG).items()}


record("good folder", good_folder("good"), "huggingface")
with_tensors("missing key", lambda state: state.pop("classifier.bias"))
with_tensors("extra key", lambda state: state.update({"vit.pooler.dense.bias": torch.zeros(8)}))
with_tensors("misshapen", lambda state: state.update({"classifier.bias": torch.zeros(4)}))

other = dict(CONFIG, hidden_size=4, num_hidden_layers=3)
HuggingFaceClassifier("ViT", other).save(
    HuggingFaceClassifier("ViT", other).skeleton(), ROOT / "other"
)
record("another architecture", ROOT / "other", "huggingface")
cut = good_folder("cut")
(cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:500])
record("cut safetensors", cut, "huggingface")
bare = good_folder("bare")
(bare / "model.safetensors").unlink()
record("no safetensors", bare, "huggingface")
record("unknown format", ROOT, "ckpt")

with_pth("good pth", {"model": timm_state()})
six_missing = timm_state()
for key in list(six_missing)[:6]:
    del six_missing[key]
with_pth("six missing in pth", six_missing)
with_pth("not a pth", b"<html>404</html>")
with_pth("no tensors in pth", {"epoch": 3})
(ROOT / "empty").mkdir()
record("no pth", ROOT / "empty", "pth")
shutil.copy(str(ROOT / "good pth" / "weights.pth"), str(ROOT / "good pth" / "second.pth"))
record("two pth", ROOT / "good pth", "pth")

npz = ROOT / "npz"
npz.mkdir()
arrays = {name: np.zeros(shape, np.float32) for name, shape in vit.augreg_shapes(CONFIG).items()}
np.savez(str(npz / "weights.npz"), **arrays)
record("good npz", npz, "npz")
arrays["head/kernel"] = np.zeros((8, 4), np.float32)
arrays["pre_logits/bias"] = np.zeros(8, np.float32)
np.savez(str(npz / "weights.npz"), **arrays)
record("another npz", npz, "npz")
np.savez(str(npz / "weights.npz"), pickled=np.array([{}], dtype=object))
record("pickled npz", npz, "npz")
print(json.dumps(OUTCOMES))  # noqa: T201
