"""Checkpoints of Vision Transformers: timm's .pth and Google's augreg .npz, to Hugging Face's names.

Shapes: D hidden size, P patch size, N tokens (patches + class token), H heads, M MLP width.
"""

import re
from typing import Any, Dict, List, Tuple

import numpy as np

from harness.models import checkpoint
from harness.models.checkpoint import Folder

#: LayerNorm's epsilon in timm and augreg; Hugging Face's own ViTs were converted with 1e-12.
LAYER_NORM_EPS = 1e-6


def from_timm(folder: Folder, config: Dict[str, Any]) -> Dict[str, Any]:
    """A timm ViT's .pth → state dict of ViTForImageClassification, in its published names."""
    origin, state = checkpoint.read_pth(folder)
    checkpoint.require_state(origin, state, timm_shapes(config))
    depth = config["num_hidden_layers"]
    mapped = {}
    for ours, theirs in _timm_names(depth):
        mapped[ours] = state[theirs]
    for layer in range(depth):
        for part in ("weight", "bias"):
            fused = state["blocks.{}.attn.qkv.{}".format(layer, part)]
            name = "vit.encoder.layer.{}.attention.attention.{}.{}"
            for role, rows in zip(("query", "key", "value"), fused.chunk(3, dim=0)):
                mapped[name.format(layer, role, part)] = rows.clone()
    return mapped


def from_augreg(folder: Folder, config: Dict[str, Any]) -> Dict[str, Any]:
    """An augreg .npz (Flax: kernels are [in, out]) → the same state dict."""
    import torch

    origin, state = checkpoint.read_npz(folder)
    checkpoint.require_state(origin, state, augreg_shapes(config))
    hidden = config["hidden_size"]
    mapped = {}
    for ours, theirs in _augreg_names(config["num_hidden_layers"]):
        array = state[theirs]
        if theirs == "embedding/kernel":
            array = array.transpose(3, 2, 0, 1)
        elif re.search("(query|key|value)/(kernel|bias)$", theirs):
            array = array.reshape(-1, hidden).T if array.ndim == 3 else array.reshape(-1)
        elif theirs.endswith("kernel"):
            array = array.reshape(-1, array.shape[-1]).T
        mapped[ours] = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    return mapped


def timm_shapes(config: Dict[str, Any]) -> Dict[str, Tuple[int, ...]]:
    """Name → shape of every tensor of timm's VisionTransformer with this config."""
    hidden, width, classes, patch, tokens = _sizes(config)
    shapes: Dict[str, Tuple[int, ...]] = {
        "cls_token": (1, 1, hidden),
        "pos_embed": (1, tokens, hidden),
        "patch_embed.proj.weight": (hidden, 3, patch, patch),
        "patch_embed.proj.bias": (hidden,),
        "norm.weight": (hidden,),
        "norm.bias": (hidden,),
        "head.weight": (classes, hidden),
        "head.bias": (classes,),
    }
    linear = {
        "attn.qkv": (3 * hidden, hidden),
        "attn.proj": (hidden, hidden),
        "mlp.fc1": (width, hidden),
        "mlp.fc2": (hidden, width),
    }
    for layer in range(config["num_hidden_layers"]):
        block = "blocks.{}.".format(layer)
        for norm in ("norm1", "norm2"):
            shapes[block + norm + ".weight"] = shapes[block + norm + ".bias"] = (hidden,)
        for name, shape in linear.items():
            shapes[block + name + ".weight"] = shape
            shapes[block + name + ".bias"] = shape[:1]
    return shapes


def augreg_shapes(config: Dict[str, Any]) -> Dict[str, Tuple[int, ...]]:
    """Name → shape of every array of an augreg checkpoint with this config."""
    hidden, width, classes, patch, tokens = _sizes(config)
    heads = config["num_attention_heads"]
    shapes: Dict[str, Tuple[int, ...]] = {
        "cls": (1, 1, hidden),
        "embedding/kernel": (patch, patch, 3, hidden),
        "embedding/bias": (hidden,),
        "Transformer/posembed_input/pos_embedding": (1, tokens, hidden),
        "Transformer/encoder_norm/scale": (hidden,),
        "Transformer/encoder_norm/bias": (hidden,),
        "head/kernel": (hidden, classes),
        "head/bias": (classes,),
    }
    for layer in range(config["num_hidden_layers"]):
        block = "Transformer/encoderblock_{}/".format(layer)
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            shapes[block + norm + "/scale"] = shapes[block + norm + "/bias"] = (hidden,)
        attention = block + "MultiHeadDotProductAttention_1/"
        for role in ("query", "key", "value"):
            shapes[attention + role + "/kernel"] = (hidden, heads, hidden // heads)
            shapes[attention + role + "/bias"] = (heads, hidden // heads)
        shapes[attention + "out/kernel"] = (heads, hidden // heads, hidden)
        shapes[attention + "out/bias"] = (hidden,)
        shapes[block + "MlpBlock_3/Dense_0/kernel"] = (hidden, width)
        shapes[block + "MlpBlock_3/Dense_0/bias"] = (width,)
        shapes[block + "MlpBlock_3/Dense_1/kernel"] = (width, hidden)
        shapes[block + "MlpBlock_3/Dense_1/bias"] = (hidden,)
    return shapes


def _sizes(config: Dict[str, Any]) -> Tuple[int, int, int, int, int]:
    patch = config["patch_size"]
    tokens = (config["image_size"] // patch) ** 2 + 1
    return config["hidden_size"], config["intermediate_size"], config["num_labels"], patch, tokens


def _timm_names(depth: int) -> List[Tuple[str, str]]:
    """(published Hugging Face name, timm's name) of all tensors except the fused q, k, v."""
    pairs = [
        ("vit.embeddings.cls_token", "cls_token"),
        ("vit.embeddings.position_embeddings", "pos_embed"),
    ]
    modules = [
        ("vit.embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("vit.layernorm", "norm"),
        ("classifier", "head"),
    ]
    for layer in range(depth):
        modules += [
            ("vit.encoder.layer.{}.{}".format(layer, ours), "blocks.{}.{}".format(layer, theirs))
            for ours, theirs in (
                ("layernorm_before", "norm1"),
                ("attention.output.dense", "attn.proj"),
                ("layernorm_after", "norm2"),
                ("intermediate.dense", "mlp.fc1"),
                ("output.dense", "mlp.fc2"),
            )
        ]
    return pairs + [
        (ours + part, theirs + part) for ours, theirs in modules for part in (".weight", ".bias")
    ]


def _augreg_names(depth: int) -> List[Tuple[str, str]]:
    """(published Hugging Face name, augreg's name) of all arrays."""
    pairs = [
        ("vit.embeddings.cls_token", "cls"),
        ("vit.embeddings.position_embeddings", "Transformer/posembed_input/pos_embedding"),
    ]
    modules = [
        ("vit.embeddings.patch_embeddings.projection", "embedding", "kernel"),
        ("vit.layernorm", "Transformer/encoder_norm", "scale"),
        ("classifier", "head", "kernel"),
    ]
    for layer in range(depth):
        ours, theirs = (
            "vit.encoder.layer.{}.".format(layer),
            "Transformer/encoderblock_{}/".format(layer),
        )
        attention = theirs + "MultiHeadDotProductAttention_1/"
        modules += [
            (ours + "layernorm_before", theirs + "LayerNorm_0", "scale"),
            (ours + "attention.attention.query", attention + "query", "kernel"),
            (ours + "attention.attention.key", attention + "key", "kernel"),
            (ours + "attention.attention.value", attention + "value", "kernel"),
            (ours + "attention.output.dense", attention + "out", "kernel"),
            (ours + "layernorm_after", theirs + "LayerNorm_2", "scale"),
            (ours + "intermediate.dense", theirs + "MlpBlock_3/Dense_0", "kernel"),
            (ours + "output.dense", theirs + "MlpBlock_3/Dense_1", "kernel"),
        ]
    for ours, theirs, weight in modules:
        pairs += [(ours + ".weight", theirs + "/" + weight), (ours + ".bias", theirs + "/bias")]
    return pairs
