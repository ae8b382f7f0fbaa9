"""ResNet-18: Hugging Face's class and weights; a convolutional network, so that `attention` decides nothing."""

from harness.models.classifier import HuggingFaceClassifier

CONFIG = {
    "embedding_size": 64,
    "hidden_sizes": [64, 128, 256, 512],
    "depths": [2, 2, 2, 2],
    "layer_type": "basic",
    "num_labels": 1000,
}

CLASSIFIER = HuggingFaceClassifier("ResNet", CONFIG, residual_ends=("layer.1.normalization",))
build = CLASSIFIER.build
skeleton = CLASSIFIER.skeleton
save = CLASSIFIER.save
