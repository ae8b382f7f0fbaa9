"""Published weights → state dict in the names of facebook/detr-resnet-50's revision `no_timm`."""

import json
import pathlib

from case.architecture import BACKBONE, CONFIG, LABELS
from harness.errors import StageFailure, one_line
from harness.models import checkpoint
from harness.models.named_tensors import convolution, layer

#: A bottleneck's inner convolutions have a quarter of its channels.
REDUCTION = 4
#: What the backbone's names begin with: Hugging Face's, and the original's.
OURS = "model.backbone.conv_encoder.model."
ORIGINAL = "backbone.0.body."


def from_hub(folder):
    """facebook/detr-resnet-50 → state dict: its revision `main` has timm's names in the backbone."""
    folder = pathlib.Path(str(folder))
    _require_config(folder)
    state = _without_counters(read_safetensors(folder / "model.safetensors"))
    timm = OURS + "conv1.weight" in state
    names = [(ours, OURS + theirs if timm else ours, shape) for ours, theirs, shape in _backbone()]
    names += [(ours, ours, shape) for ours, _, shape in _transformer()]
    for ours, _, shape in _fused():
        names += [(ours.format(role), ours.format(role), shape) for role in "qkv"]
    checkpoint.require_state(str(folder), state, {theirs: shape for _, theirs, shape in names})
    return {ours: state[theirs] for ours, theirs, _ in names}


def from_original(folder):
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


def read_safetensors(path):
    """Name → tensor. Raises StageFailure (data) for a file that is missing or not whole."""
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
