"""DETR with a ResNet-50: Hugging Face's class and weights, or the original repository's checkpoint."""

import json
import math
import pathlib

from harness.errors import StageFailure, one_line
from harness.models import checkpoint
from harness.models.named_tensors import convolution, layer

CONFIG = {
    "num_queries": 100,
    "d_model": 256,
    "encoder_layers": 6,
    "encoder_ffn_dim": 2048,
    "encoder_attention_heads": 8,
    "decoder_layers": 6,
    "decoder_ffn_dim": 2048,
    "decoder_attention_heads": 8,
    "activation_function": "relu",
    "position_embedding_type": "sine",
}
BACKBONE = {
    "embedding_size": 64,
    "hidden_sizes": [256, 512, 1024, 2048],
    "depths": [3, 4, 6, 3],
    "layer_type": "bottleneck",
}
#: A bottleneck's inner convolutions have a quarter of its channels.
REDUCTION = 4
#: Classes are COCO's category ids, 0 to 90; the model has one more for "no object".
LABELS = 91
#: Added to the attention of padding; its exponential is 0 in fp16 too, whose smallest number is -65504.
MASKED = -10000.0
#: DetrSinePositionEmbedding's temperature.
TEMPERATURE = 10000.0
OURS = "model.backbone.conv_encoder.model."
ORIGINAL = "backbone.0.body."


def build(weights_dir, weights_format, synthetic, seed, attention=None):
    """The module in eval mode, fp32, on the CPU.

    ``module(pixel_values [B, 3, H, W], pixel_mask int64 [B, rows, columns]) -> (logits [B, 100, 92],
    pred_boxes [B, 100, 4])``. The mask is that of the features, H / 32 and W / 32 rounded up; 1 in a
    rectangle from the first one on. Boxes are centre x, centre y, width, height, as shares of the picture
    without its padding. ``weights_dir`` has facebook/detr-resnet-50 (``huggingface``) or
    detr-r50-e632da11.pth (``pth``); with ``synthetic``, ``seed`` determines the weights. ``attention``:
    ``eager``, ``sdpa`` or None (the library's choice). Raises StageFailure (data).
    """
    if synthetic:
        from case import calibration

        module = _module(_initialised(seed, attention))
        calibration.calibrate(module, seed)
    elif weights_format == "huggingface":
        module = _module(_loaded(_from_hub(weights_dir), attention))
    else:
        module = _module(_loaded(_from_original(weights_dir), attention))
    return module.requires_grad_(False)


def skeleton(attention=None):
    """The module with meaningless weights, on torch's default device (``meta`` to count operations)."""
    return _module(_initialised(0, attention)).requires_grad_(False)


def save(module, folder):
    """Write the module as a Hugging Face folder: config.json and model.safetensors."""
    module.network.save_pretrained(str(folder))


def _initialised(seed, attention):
    import torch
    from transformers import DetrForObjectDetection

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DetrForObjectDetection(_config(attention)).eval()


def _config(attention):
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=ResNetConfig(out_features=["stage4"], **BACKBONE),
        num_labels=LABELS,
        **CONFIG,
    )
    if attention is not None:
        # The backbone has no attention, and refuses to have a fused one.
        fused = getattr(DetrForObjectDetection, "_supports_sdpa", False)
        config._attn_implementation = "eager" if attention == "sdpa" and not fused else attention
        config.backbone_config._attn_implementation = "eager"
    return config


def _loaded(state, attention):
    """The network with a state dict in published names, which from_pretrained translates to its version's."""
    from transformers import DetrForObjectDetection

    network, info = DetrForObjectDetection.from_pretrained(
        None, config=_config(attention), state_dict=state, output_loading_info=True
    )
    left = sorted(info["missing_keys"]) + sorted(info["unexpected_keys"])
    if left:
        raise RuntimeError("the mapping does not cover the architecture: {}".format(left[:5]))
    return network.float().eval()


def _from_hub(folder):
    """facebook/detr-resnet-50 → state dict: its revision `main` has timm's names in the backbone."""
    folder = pathlib.Path(str(folder))
    _require_config(folder)
    state = _without_counters(_read_safetensors(folder / "model.safetensors"))
    timm = OURS + "conv1.weight" in state
    names = [(ours, OURS + theirs if timm else ours, shape) for ours, theirs, shape in _backbone()]
    names += [(ours, ours, shape) for ours, _, shape in _transformer()]
    for ours, _, shape in _fused():
        names += [(ours.format(role), ours.format(role), shape) for role in "qkv"]
    checkpoint.require_state(str(folder), state, {theirs: shape for _, theirs, shape in names})
    return {ours: state[theirs] for ours, theirs, _ in names}


def _from_original(folder):
    """detr-r50-e632da11.pth → state dict: query, key and value are one matrix there."""
    origin, state = checkpoint.read_pth(folder)
    state = _without_counters(state)
    names = [(ours, ORIGINAL + theirs, shape) for ours, theirs, shape in _backbone()]
    names += _transformer()
    fused = [(ours, theirs, (3 * shape[0], *shape[1:])) for ours, theirs, shape in _fused()]
    shapes = {theirs: shape for _, theirs, shape in names + fused}
    checkpoint.require_state(origin, state, shapes)
    mapped = {ours: state[theirs] for ours, theirs, _ in names}
    for ours, theirs, _ in fused:
        for role, rows in zip("qkv", state[theirs].chunk(3, dim=0)):
            mapped[ours.format(role)] = rows.clone()
    return mapped


def _without_counters(state):
    """Frozen batch norms have no batch counters; some checkpoints keep those of the backbone's training."""
    return {
        name: value for name, value in state.items() if not name.endswith("num_batches_tracked")
    }


def _require_config(folder):
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        wrong = [
            "{} {!r} instead of {!r}".format(name, found[name], value)
            for name, value in CONFIG.items()
            # The library leaves out what is its default, as all of these are.
            if found.get(name, value) != value
        ]
        dilated = found.get("dilation")
    except (OSError, ValueError, AttributeError) as error:
        message = "config.json cannot be read: {}".format(one_line(error))
        raise StageFailure("data", message, checkpoint.REMEDY) from error
    if dilated:
        wrong.append("dilation True instead of False (that is DETR-DC5)")
    if wrong:
        message = "{} describes another architecture: {}".format(folder, "; ".join(wrong))
        raise StageFailure("data", message, checkpoint.REMEDY)


def _read_safetensors(path):
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except (OSError, SafetensorError) as error:
        message = "{} cannot be read (cut short?): {}".format(path.name, one_line(error))
        raise StageFailure("data", message, checkpoint.REMEDY) from error


def _backbone():
    """(Hugging Face's name, timm's and torchvision's name, shape) of every tensor of the ResNet-50."""
    before = BACKBONE["embedding_size"]
    names = convolution(OURS + "embedder.embedder", "conv1", "bn1", (before, 3, 7, 7))
    for stage, (width, depth) in enumerate(zip(BACKBONE["hidden_sizes"], BACKBONE["depths"])):
        for block in range(depth):
            ours = "{}encoder.stages.{}.layers.{}.".format(OURS, stage, block)
            theirs = "layer{}.{}.".format(stage + 1, block)
            inner = width // REDUCTION
            shapes = ((inner, before, 1, 1), (inner, inner, 3, 3), (width, inner, 1, 1))
            for number, shape in enumerate(shapes):
                names += convolution(
                    "{}layer.{}".format(ours, number),
                    "{}conv{}".format(theirs, number + 1),
                    "{}bn{}".format(theirs, number + 1),
                    shape,
                )
            if block == 0:
                names += convolution(
                    ours + "shortcut",
                    theirs + "downsample.0",
                    theirs + "downsample.1",
                    (width, before, 1, 1),
                )
            before = width
    return names


def _transformer():
    """(Hugging Face's name, the original's, shape) of all other tensors but the fused projections."""
    width, inner = CONFIG["d_model"], CONFIG["encoder_ffn_dim"]
    names = layer(
        "model.input_projection", "input_proj", (width, BACKBONE["hidden_sizes"][-1], 1, 1)
    )
    queries = (CONFIG["num_queries"], width)
    names.append(("model.query_position_embeddings.weight", "query_embed.weight", queries))
    for ours, theirs, attentions in _layers():
        for attention, original, norm, original_norm in attentions:
            names += layer(
                ours + attention + ".out_proj", theirs + original + ".out_proj", (width, width)
            )
            names += layer(ours + norm, theirs + original_norm, (width,))
        names += layer(ours + "fc1", theirs + "linear1", (inner, width))
        names += layer(ours + "fc2", theirs + "linear2", (width, inner))
        last = "norm{}".format(len(attentions) + 1)
        names += layer(ours + "final_layer_norm", theirs + last, (width,))
    names += layer("model.decoder.layernorm", "transformer.decoder.norm", (width,))
    names += layer("class_labels_classifier", "class_embed", (LABELS + 1, width))
    for number, rows in enumerate((width, width, 4)):
        part = "layers.{}".format(number)
        names += layer("bbox_predictor." + part, "bbox_embed." + part, (rows, width))
    return names


def _fused():
    """(Hugging Face's name with {} for q, k or v, the original's, shape of one) of the fused projections."""
    width = CONFIG["d_model"]
    names = []
    for ours, theirs, attentions in _layers():
        for attention, original, _, _ in attentions:
            for part, shape in (("weight", (width, width)), ("bias", (width,))):
                names.append(
                    (
                        "{}{}.{{}}_proj.{}".format(ours, attention, part),
                        "{}{}.in_proj_{}".format(theirs, original, part),
                        shape,
                    )
                )
    return names


def _layers():
    """(beginning of Hugging Face's names, of the original's, attentions) of every layer.

    An attention: its name, the original's, the name of the norm after it, the original's.
    """
    own = ("self_attn", "self_attn", "self_attn_layer_norm", "norm1")
    crossed = ("encoder_attn", "multihead_attn", "encoder_attn_layer_norm", "norm2")
    return [
        ("model.{}.layers.{}.".format(part, n), "transformer.{}.layers.{}.".format(part, n), which)
        for part, which in (("encoder", (own,)), ("decoder", (own, crossed)))
        for n in range(CONFIG[part + "_layers"])
    ]


def positions(mask, width):
    """Sine embeddings float32 [B, rows * columns, width] of a rectangle: DetrSinePositionEmbedding's.

    ``mask`` float32 [B, rows, columns]. Those of padding differ, which is never attended to: the library's
    divide by a number that is 0 in fp16.
    """
    import torch

    rows, columns = mask.shape[1:]
    down = _angles(rows, mask[:, :, 0].sum(dim=1), width // 2)[:, :, None]
    across = _angles(columns, mask[:, 0].sum(dim=1), width // 2)[:, None]
    both = (down.expand(-1, -1, columns, -1), across.expand(-1, rows, -1, -1))
    return torch.cat(both, dim=-1).flatten(1, 2)


def _angles(count, seen, width):
    """Sines and cosines in turn, float32 [B, count, width], of ``count`` places of which ``seen`` [B] are real."""
    import torch

    places = torch.arange(1, count + 1, dtype=torch.float32, device=seen.device)
    shares = places / (seen[:, None] + 1e-6) * (2 * math.pi)
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=seen.device) / width
    angles = shares[:, :, None] / TEMPERATURE**exponents
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(2)


def _module(network):
    import torch

    class Detector(torch.nn.Module):
        """Positional inputs, and a tuple of outputs in the declared order, as exporters need."""

        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, pixel_values, pixel_mask):
            # The layers of transformers' DetrModel with the mask and the positions made here: those of the
            # library bring CumSum, IsNaN and a resized mask into the graph, which older parsers lack.
            model = self.network.model
            backbone = getattr(model.backbone, "conv_encoder", model.backbone).model
            features = model.input_projection(backbone(pixel_values).feature_maps[-1])
            features = features.flatten(2).transpose(1, 2)
            mask = pixel_mask.to(torch.float32)
            places = positions(mask, features.shape[-1]).to(features.dtype)
            masked = ((1.0 - mask.flatten(1)[:, None, None, :]) * MASKED).to(features.dtype)
            for one in model.encoder.layers:
                features = _first(one(features, _for(one, masked, features), places))
            queries = model.query_position_embeddings.weight
            queries = queries.unsqueeze(0).expand(features.shape[0], -1, -1)
            found = torch.zeros_like(queries)
            for one in model.decoder.layers:
                hidden = _for(one, masked, found)
                found = _first(one(found, None, places, queries, features, hidden))
            found = model.decoder.layernorm(found)
            boxes = self.network.bbox_predictor(found).sigmoid()
            return self.network.class_labels_classifier(found), boxes

    return Detector().eval()


def _first(found):
    """A layer's output, which is the first of several until transformers 5."""
    return found[0] if isinstance(found, tuple) else found


def _for(layer_of_model, masked, queries):
    """The mask as a layer takes it: until transformers 5 it must have a row for every query."""
    if hasattr(layer_of_model, "mlp"):
        return masked
    return masked.expand(-1, -1, queries.shape[1], -1)
