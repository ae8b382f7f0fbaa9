"""A small ViT of Hugging Face's class; train.py made its weights."""

from harness.models.classifier import HuggingFaceClassifier

CONFIG = {
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "image_size": 32,
    "patch_size": 4,
    "num_labels": 10,
}

CLASSIFIER = HuggingFaceClassifier("ViT", CONFIG)
build = CLASSIFIER.build
skeleton = CLASSIFIER.skeleton
save = CLASSIFIER.save
