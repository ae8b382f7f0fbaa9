"""RegNetY-1.6GF: timm's pycls weights (regnety_016-54367f74.pth) mapped onto Hugging Face's class."""

from harness.models import named_tensors
from harness.models.classifier import HuggingFaceClassifier
from harness.models.named_tensors import convolution, layer

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
    return named_tensors.read_pth(folder, timm_names(config))


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
    return names + layer("classifier.1", "head.fc", (config["num_labels"], before))


def _block(ours, theirs, before, width, group):
    squeezed = round(before / SQUEEZE)
    excitation = ours + "layer.2.attention."
    return (
        _conv(ours + "layer.0", theirs + "conv1", (width, before, 1, 1))
        + _conv(ours + "layer.1", theirs + "conv2", (width, group, 3, 3))
        + layer(excitation + "0", theirs + "se.fc1", (squeezed, width, 1, 1))
        + layer(excitation + "2", theirs + "se.fc2", (width, squeezed, 1, 1))
        + _conv(ours + "layer.3", theirs + "conv3", (width, width, 1, 1))
    )


def _conv(ours, theirs, shape):
    return convolution(ours, theirs + ".conv", theirs + ".bn", shape)


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
