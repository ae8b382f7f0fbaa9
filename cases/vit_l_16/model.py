"""ViT-L/16: google/vit-large-patch16-224, or the same architecture with synthetic weights."""

from harness.models.classifier import HuggingFaceClassifier

CONFIG = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "image_size": 224,
    "patch_size": 16,
    "num_labels": 1000,
}

CLASSIFIER = HuggingFaceClassifier("ViT", CONFIG)
build = CLASSIFIER.build
skeleton = CLASSIFIER.skeleton
save = CLASSIFIER.save
