"""ResNet-50 v1.5: torchvision's or timm's weights, which have the same names, mapped onto Hugging Face's class."""

from harness.models import named_tensors
from harness.models.classifier import HuggingFaceClassifier
from harness.models.named_tensors import convolution, layer

CONFIG = {
    "embedding_size": 64,
    "hidden_sizes": [256, 512, 1024, 2048],
    "depths": [3, 4, 6, 3],
    "layer_type": "bottleneck",
    "num_labels": 1000,
}
#: A bottleneck's inner convolutions have a quarter of its channels.
REDUCTION = 4


def from_torchvision(folder, config):
    """A .pth of torchvision's or timm's resnet50 → state dict of ResNetForImageClassification."""
    return named_tensors.read_pth(folder, torchvision_names(config))


def torchvision_names(config):
    """(Hugging Face's name, torchvision's name, shape) of every tensor of the architecture."""
    before = config["embedding_size"]
    names = convolution("resnet.embedder.embedder", "conv1", "bn1", (before, 3, 7, 7))
    for stage, (width, depth) in enumerate(zip(config["hidden_sizes"], config["depths"])):
        for block in range(depth):
            ours = "resnet.encoder.stages.{}.layers.{}.".format(stage, block)
            theirs = "layer{}.{}.".format(stage + 1, block)
            names += _block(ours, theirs, before, width)
            if block == 0:
                names += convolution(
                    ours + "shortcut",
                    theirs + "downsample.0",
                    theirs + "downsample.1",
                    (width, before, 1, 1),
                )
            before = width
    return names + layer("classifier.1", "fc", (config["num_labels"], before))


def _block(ours, theirs, before, width):
    inner = width // REDUCTION
    shapes = ((inner, before, 1, 1), (inner, inner, 3, 3), (width, inner, 1, 1))
    names = []
    for number, shape in enumerate(shapes):
        names += convolution(
            "{}layer.{}".format(ours, number),
            "{}conv{}".format(theirs, number + 1),
            "{}bn{}".format(theirs, number + 1),
            shape,
        )
    return names


CLASSIFIER = HuggingFaceClassifier(
    "ResNet", CONFIG, {"pth": from_torchvision}, residual_ends=("layer.2.normalization",)
)
build = CLASSIFIER.build
skeleton = CLASSIFIER.skeleton
save = CLASSIFIER.save
