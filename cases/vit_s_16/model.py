"""ViT-S/16: Google's augreg .npz or timm's .pth, mapped onto Hugging Face's class."""

from harness.models.classifier import HuggingFaceClassifier
from harness.models.vit import LAYER_NORM_EPS, from_augreg, from_timm

CONFIG = {
    "hidden_size": 384,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "intermediate_size": 1536,
    "image_size": 224,
    "patch_size": 16,
    "num_labels": 1000,
    "layer_norm_eps": LAYER_NORM_EPS,
}

CLASSIFIER = HuggingFaceClassifier(
    "ViT", CONFIG, {"pth": from_timm, "npz": from_augreg}, may_differ=("layer_norm_eps",)
)
build = CLASSIFIER.build
skeleton = CLASSIFIER.skeleton
save = CLASSIFIER.save
