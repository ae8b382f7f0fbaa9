"""RegNetY-1.6GF: timm's pycls weights (regnety_016-54367f74.pth) mapped onto Hugging Face's class."""

from harness.models import checkpoint
from harness.models.classifier import HuggingFaceClassifier

CONFIG = {
    "embedding_size": 32,
    "hidden_sizes": [48, 120, 336, 888],
    "depths": [2, 6, 17, 2],
    "groups_width": 24,
    "layer_type": "y",
    "num_labels": 1000,
}
#: The hidden width of a squeeze-and-excitation block is the number of input channels divided by this.
SQUEEZE = 4


def from_timm(folder, config):
    """A .pth of timm's RegNet → state dict of RegNetForImageClassification."""
    import torch

    origin, state = checkpoint.read_pth(folder)
    # Only training uses the batch counters, which checkpoints of older torch versions lack.
    state = {
        name: value for name, value in state.items() if not name.endswith("num_batches_tracked")
    }
    names = timm_names(config)
    checkpoint.require_state(origin, state, {theirs: shape for _, theirs, shape in names})
    mapped = {ours: state[theirs] for ours, theirs, _ in names}
    for ours in [name for name in mapped if name.endswith("running_mean")]:
        mapped[ours.replace("running_mean", "num_batches_tracked")] = torch.tensor(0)
    return mapped


def timm_names(config):
    """(Hugging Face's name, timm's name, shape) of every tensor of the architecture."""
    stem = config["embedding_size"]
    names = _conv("regnet.embedder.embedder", "stem", (stem, 3, 3, 3))
    before = stem
    for stage, (width, depth) in enumerate(zip(config["hidden_sizes"], config["depths"])):
        for block in range(depth):
            ours = "regnet.encoder.stages.{}.layers.{}.".format(stage, block)
            theirs = "s{}.b{}.".format(stage + 1, block + 1)
            names += _block(ours, theirs, before, width, config["groups_width"])
            if block == 0:
                names += _conv(ours + "shortcut", theirs + "downsample", (width, before, 1, 1))
            before = width
    classes = config["num_labels"]
    return names + _layer("classifier.1", "head.fc", (classes, before), classes)


def _block(ours, theirs, before, width, group):
    squeezed = round(before / SQUEEZE)
    excitation = ours + "layer.2.attention."
    return (
        _conv(ours + "layer.0", theirs + "conv1", (width, before, 1, 1))
        + _conv(ours + "layer.1", theirs + "conv2", (width, group, 3, 3))
        + _layer(excitation + "0", theirs + "se.fc1", (squeezed, width, 1, 1), squeezed)
        + _layer(excitation + "2", theirs + "se.fc2", (width, squeezed, 1, 1), width)
        + _conv(ours + "layer.3", theirs + "conv3", (width, width, 1, 1))
    )


def _conv(ours, theirs, shape):
    """A convolution without bias and its batch normalisation."""
    parts = ("weight", "bias", "running_mean", "running_var")
    return [(ours + ".convolution.weight", theirs + ".conv.weight", shape)] + [
        (ours + ".normalization." + part, theirs + ".bn." + part, shape[:1]) for part in parts
    ]


def _layer(ours, theirs, shape, width):
    return [
        (ours + ".weight", theirs + ".weight", shape),
        (ours + ".bias", theirs + ".bias", (width,)),
    ]


CLASSIFIER = HuggingFaceClassifier(
    "RegNet", CONFIG, {"pth": from_timm}, residual_ends=("layer.3.normalization",)
)
save = CLASSIFIER.save


def build(weights_dir, weights_format, synthetic, seed, attention=None):  # noqa: ARG001
    """As HuggingFaceClassifier.build; ``attention`` is ignored, since RegNet has none."""
    return CLASSIFIER.build(weights_dir, weights_format, synthetic, seed)


def skeleton(attention=None):  # noqa: ARG001
    """As HuggingFaceClassifier.skeleton; ``attention`` is ignored."""
    return CLASSIFIER.skeleton()
