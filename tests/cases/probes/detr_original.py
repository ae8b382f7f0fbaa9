"""DETR as its own repository lays it out, from torch's and timm's layers: (module, state dict of its names).

facebookresearch/detr, models/{backbone,position_encoding,transformer,detr}.py. timm needs torchvision only for
the schemas of two operators, which are declared here instead.
"""

import math

import torch
from torch import nn

_LIBRARY = torch.library.Library("torchvision", "DEF")
_LIBRARY.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_LIBRARY.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm  # noqa: E402

WIDTH, HEADS, INNER, LAYERS = 256, 8, 2048, 6


class Layer(nn.Module):
    """An encoder's layer, or with ``crossed`` a decoder's."""

    def __init__(self, crossed):
        super().__init__()
        self.self_attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        if crossed:
            self.multihead_attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        for number in range(3 if crossed else 2):
            setattr(self, f"norm{number + 1}", nn.LayerNorm(WIDTH))

    def encode(self, found, padding, places):
        """Features [B, S, WIDTH] to features."""
        asked = found + places
        found = self.norm1(found + self.self_attn(asked, asked, found, padding)[0])
        return self.norm2(found + self.linear2(self.linear1(found).relu()))

    def decode(self, found, queries, memory, padding, places):
        """Objects [B, 100, WIDTH] to objects."""
        asked = found + queries
        found = self.norm1(found + self.self_attn(asked, asked, found)[0])
        seen = self.multihead_attn(found + queries, memory + places, memory, padding)[0]
        found = self.norm2(found + seen)
        return self.norm3(found + self.linear2(self.linear1(found).relu()))


class Boxes(nn.Module):
    """The head of boxes: three layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, rows) for rows in (WIDTH, WIDTH, 4))

    def forward(self, found):
        """Box before the sigmoid."""
        return self.layers[2](self.layers[1](self.layers[0](found).relu()).relu())


class Original(nn.Module):
    """The whole model; names are those of detr-r50-e632da11.pth."""

    def __init__(self):
        super().__init__()
        body = timm.create_model("resnet50", pretrained=False)
        del body.fc
        self.backbone = nn.ModuleList([nn.ModuleDict({"body": body})])
        self.transformer = nn.Module()
        for part in ("encoder", "decoder"):
            made = nn.Module()
            made.layers = nn.ModuleList(Layer(part == "decoder") for _ in range(LAYERS))
            setattr(self.transformer, part, made)
        self.transformer.decoder.norm = nn.LayerNorm(WIDTH)
        self.input_proj = nn.Conv2d(2048, WIDTH, 1)
        self.query_embed = nn.Embedding(100, WIDTH)
        self.class_embed = nn.Linear(WIDTH, 92)
        self.bbox_embed = Boxes()

    def forward(self, pixels, padding):
        """``padding`` bool [B, H, W] of pixels: True outside the picture."""
        features = self.input_proj(self.backbone[0]["body"].forward_features(pixels))
        size = features.shape[-2:]
        padding = nn.functional.interpolate(padding[None].float(), size=size).to(torch.bool)[0]
        places = sine(padding).flatten(2).transpose(1, 2)
        memory, padding = features.flatten(2).transpose(1, 2), padding.flatten(1)
        for one in self.transformer.encoder.layers:
            memory = one.encode(memory, padding, places)
        queries = self.query_embed.weight[None].repeat(len(pixels), 1, 1)
        found = torch.zeros_like(queries)
        for one in self.transformer.decoder.layers:
            found = one.decode(found, queries, memory, padding, places)
        found = self.transformer.decoder.norm(found)
        return self.class_embed(found), self.bbox_embed(found).sigmoid()


def sine(padding, count=WIDTH // 2):
    """PositionEmbeddingSine, normalised: [B, WIDTH, rows, columns]."""
    seen = ~padding
    down, across = seen.cumsum(1, dtype=torch.float32), seen.cumsum(2, dtype=torch.float32)
    down = down / (down[:, -1:, :] + 1e-6) * 2 * math.pi
    across = across / (across[:, :, -1:] + 1e-6) * 2 * math.pi
    period = 10000 ** (2 * (torch.arange(count, dtype=torch.float32) // 2) / count)
    parts = []
    for one in (down, across):
        angle = one[:, :, :, None] / period
        both = (angle[..., 0::2].sin(), angle[..., 1::2].cos())
        parts.append(torch.stack(both, dim=4).flatten(3))
    return torch.cat(parts, dim=3).permute(0, 3, 1, 2)


def random_original():
    """The module in eval mode, with statistics that are not neutral."""
    torch.manual_seed(0)
    module = Original().eval()
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.8, 1.2)
            elif name.endswith(("running_mean", "bias")):
                value.normal_(0.0, 0.05)
            elif name.endswith("bn3.weight"):
                value.fill_(0.2)
    return module
