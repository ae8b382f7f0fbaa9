"""timm's own models against the cases' mapped ones, on the same random state; print differences.

timm needs torchvision only for the schemas of two operators, which are declared here instead.
"""

import json
import pathlib
import tempfile

import numpy as np
import torch
from case_module import load

_LIBRARY = torch.library.Library("torchvision", "DEF")
_LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm  # noqa: E402

ROOT = pathlib.Path(tempfile.mkdtemp())
PIXELS = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))


def random_timm(name):
    """Give timm's model with every parameter and statistic random, none at its neutral value."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            scale = 0.02 if value.ndim > 1 and not key.startswith("s") else 0.1
            value.add_(noise, alpha=scale)
            if key.endswith("running_var"):
                value.abs_().add_(0.5)
    return model


def differences(case, folder, weights_format, expected):
    """Give the largest absolute difference and the largest value of timm's output."""
    module = load(case).build(folder, weights_format, False, 0)
    with torch.no_grad():
        found = module(PIXELS)[0]
    return {
        "difference": float((found - expected).abs().max()),
        "scale": float(expected.abs().max()),
        "spread": float(expected.std()),
    }


def microsofts(state):
    """Give a Swin's state dict as Microsoft's own files have it: names, buffers, and what is around it."""
    renamed = {}
    for name, value in state.items():
        parts = name.replace("head.fc.", "head.").split(".")
        if "downsample" in parts:
            parts[1] = str(int(parts[1]) - 1)
        renamed[".".join(parts)] = value
        if name.endswith("relative_position_bias_table"):
            index = name.replace("bias_table", "index")
            renamed[index] = torch.zeros(49, 49, dtype=torch.int64)
    renamed["layers.0.blocks.1.attn_mask"] = torch.zeros(64, 49, 49)
    return {"model": renamed}


def by_pth(case, name, written=dict, as_in="timm"):
    """Compare by way of a .pth of timm's state dict, or of what ``written`` makes of it."""
    model = random_timm(name)
    folder = ROOT / "-".join((case, as_in))
    folder.mkdir()
    torch.save(written(model.state_dict()), str(folder / "weights.pth"))
    with torch.no_grad():
        expected = model(PIXELS)
    return differences(case, folder, "pth", expected)


def by_npz(case, name):
    """Compare by way of a random augreg .npz, which timm's own loader reads as well."""
    module = load(case)
    from harness.models import vit

    random = np.random.RandomState(2)
    arrays = {
        key: (random.standard_normal(shape) * (0.02 if len(shape) > 1 else 0.1)).astype(np.float32)
        for key, shape in vit.augreg_shapes(module.CONFIG).items()
    }
    for key in arrays:
        if key.endswith("scale"):
            arrays[key] += 1
    folder = ROOT / (case + "-npz")
    folder.mkdir()
    np.savez(str(folder / "weights.npz"), **arrays)
    model = timm.create_model(name, pretrained=False).eval()
    model.load_pretrained(str(folder / "weights.npz"))
    with torch.no_grad():
        expected = model(PIXELS)
    return differences(case, folder, "npz", expected)


print(  # noqa: T201
    json.dumps(
        {
            "vit_b_32 pth": by_pth("vit_b_32", "vit_base_patch32_224"),
            "vit_s_16 pth": by_pth("vit_s_16", "vit_small_patch16_224"),
            "regnety_016 pth": by_pth("regnety_016", "regnety_016"),
            "resnet_50 pth": by_pth("resnet_50", "resnet50"),
            "swin_b pth": by_pth("swin_b", "swin_base_patch4_window7_224"),
            "swin_b pth of Microsoft's": by_pth(
                "swin_b", "swin_base_patch4_window7_224", microsofts, "microsoft"
            ),
            "vit_b_32 npz": by_npz("vit_b_32", "vit_base_patch32_224"),
            "vit_s_16 npz": by_npz("vit_s_16", "vit_small_patch16_224"),
        }
    )
)
