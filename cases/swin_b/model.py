"""Swin-B: Microsoft's or timm's weights, mapped onto Hugging Face's class."""

from harness.models import checkpoint
from harness.models.classifier import HuggingFaceClassifier
from harness.models.named_tensors import layer

CONFIG = {
    "image_size": 224,
    "patch_size": 4,
    "embed_dim": 128,
    "depths": [2, 2, 18, 2],
    "num_heads": [4, 8, 16, 32],
    "window_size": 7,
    "mlp_ratio": 4.0,
    "qkv_bias": True,
    "num_labels": 1000,
}
#: What follows from window and picture size, and is in no checkpoint of Hugging Face's.
COMPUTED = ("relative_position_index", "attn_mask")


def from_timm(folder, config):
    """A .pth of Microsoft's or timm's Swin → state dict of SwinForImageClassification."""
    origin, state = checkpoint.read_pth(folder)
    state = {name: value for name, value in state.items() if not name.endswith(COMPUTED)}
    if "head.weight" in state:
        state = dict(_as_timm(name, value) for name, value in state.items())
    names = timm_names(config)
    fused = fused_names(config)
    shapes = {theirs: shape for _, theirs, shape in names + fused}
    checkpoint.require_state(origin, state, shapes)
    mapped = {ours: state[theirs] for ours, theirs, _ in names}
    for ours, theirs, _ in fused:
        for role, rows in zip(("query", "key", "value"), state[theirs].chunk(3, dim=0)):
            mapped[ours.format(role)] = rows.clone()
    return mapped


def _as_timm(name, value):
    """Microsoft merges patches at the end of a stage, timm at the beginning of the next one."""
    parts = name.split(".")
    if parts[0] == "layers" and parts[2] == "downsample":
        parts[1] = str(int(parts[1]) + 1)
    return ".".join(parts).replace("head.", "head.fc."), value


def timm_names(config):
    """(Hugging Face's name, timm's name, shape) of every tensor but the fused query, key and value."""
    width, patch = config["embed_dim"], config["patch_size"]
    names = layer(
        "swin.embeddings.patch_embeddings.projection",
        "patch_embed.proj",
        (width, 3, patch, patch),
    )
    names += layer("swin.embeddings.norm", "patch_embed.norm", (width,))
    for stage, block, width in blocks(config):
        ours, theirs = block_names(stage, block)
        inner = int(config["mlp_ratio"] * width)
        places = (2 * config["window_size"] - 1) ** 2
        names += layer(ours + "layernorm_before", theirs + "norm1", (width,))
        names += layer(ours + "layernorm_after", theirs + "norm2", (width,))
        names += layer(ours + "attention.output.dense", theirs + "attn.proj", (width, width))
        names += layer(ours + "intermediate.dense", theirs + "mlp.fc1", (inner, width))
        names += layer(ours + "output.dense", theirs + "mlp.fc2", (width, inner))
        table = "relative_position_bias_table"
        heads = config["num_heads"][stage]
        names.append((ours + "attention.self." + table, theirs + "attn." + table, (places, heads)))
        if block == 0 and stage:
            ours = "swin.encoder.layers.{}.downsample.".format(stage - 1)
            theirs = "layers.{}.downsample.".format(stage)
            names += layer(ours + "norm", theirs + "norm", (2 * width,))
            names.append(
                (ours + "reduction.weight", theirs + "reduction.weight", (width, 2 * width))
            )
    names += layer("swin.layernorm", "norm", (width,))
    return names + layer("classifier", "head.fc", (config["num_labels"], width))


def fused_names(config):
    """(Hugging Face's name with {} for query, key or value, timm's name, shape) of the fused projections."""
    names = []
    for stage, block, width in blocks(config):
        ours, theirs = block_names(stage, block)
        names += layer(ours + "attention.self.{}", theirs + "attn.qkv", (3 * width, width))
    return names


def blocks(config):
    """(stage, block, width) of every block."""
    return [
        (stage, block, config["embed_dim"] << stage)
        for stage, depth in enumerate(config["depths"])
        for block in range(depth)
    ]


def block_names(stage, block):
    """The beginnings of a block's names in Hugging Face's and in timm's model."""
    place = "layers.{}.blocks.{}.".format(stage, block)
    return "swin.encoder." + place, place


CLASSIFIER = HuggingFaceClassifier("Swin", CONFIG, {"pth": from_timm})
build = CLASSIFIER.build
skeleton = CLASSIFIER.skeleton
save = CLASSIFIER.save
