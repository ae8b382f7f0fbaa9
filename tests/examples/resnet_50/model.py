"""ResNet-50: Hugging Face's class and weights; a convolutional network, so that `attention` decides nothing."""

from harness.models.classifier import HuggingFaceClassifier

CONFIG = {
    "embedding_size": 64,
    "hidden_sizes": [256, 512, 1024, 2048],
    "depths": [3, 4, 6, 3],
    "layer_type": "bottleneck",
    "num_labels": 1000,
}

CLASSIFIER = HuggingFaceClassifier("ResNet", CONFIG, residual_ends=("layer.2.normalization",))
build = CLASSIFIER.build
skeleton = CLASSIFIER.skeleton
save = CLASSIFIER.save
