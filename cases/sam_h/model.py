"""The complete SAM ViT-H: image encoder, prompt encoder with one point, mask decoder."""

from harness.errors import StageFailure
from harness.models import checkpoint

VISION = {
    "hidden_size": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "global_attn_indexes": [7, 15, 23, 31],
    "mlp_dim": 5120,
    "image_size": 1024,
    "patch_size": 16,
    "window_size": 14,
    "num_pos_feats": 128,
}
#: The library's own 1e-10 makes every layer of the encoder an identity, so that fp32 and bf16 differ only in
#: noise (cosine 0). Its other vision models use 0.02.
SYNTHETIC_INITIALIZER_RANGE = 0.02


def build(weights_dir, weights_format, synthetic, seed, attention=None):  # noqa: ARG001
    """The module in eval mode, fp32, on the CPU.

    ``module(pixel_values [B, 3, 1024, 1024], points [B, 1, 1, 2]) -> (iou_scores [B, 1, 3],
    masks [B, 1, 3, 256, 256])``, all float32. ``points`` are x, y in pixels of the resized picture; each is
    part of the object (label 1). ``weights_dir`` is a Hugging Face folder; with ``synthetic``, ``seed``
    determines the weights. ``attention``: ``eager``, ``sdpa`` or None (the library's choice). Raises
    StageFailure (data).
    """
    network = _initialised(seed, attention) if synthetic else _pretrained(weights_dir, attention)
    return _module(network)


def skeleton(attention=None):
    """The module with meaningless weights, on torch's default device (``meta`` to count operations)."""
    return _module(_network(attention))


def save(module, folder):
    """Write the module as a Hugging Face folder: config.json and model.safetensors."""
    module.network.save_pretrained(str(folder))


def _network(attention):
    import transformers

    vision = dict(VISION, initializer_range=SYNTHETIC_INITIALIZER_RANGE)
    config = transformers.SamConfig(vision_config=vision)
    if attention is not None:
        config._attn_implementation = attention
        config.vision_config._attn_implementation = attention
    return transformers.SamModel(config).eval()


def _initialised(seed, attention):
    import torch

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = _network(attention)
        embedding = network.shared_image_embedding
        # Initialised with scale 640, positions span hundreds of periods, and the sine of such an angle is
        # random in bf16. Trained weights have scale 1.
        embedding.positional_embedding.div_(embedding.scale)
    return network


def _pretrained(folder, attention):
    import transformers

    network = checkpoint.load_pretrained(transformers.SamModel, folder, {}, attention)
    found = network.config.vision_config
    wrong = [
        "{} {!r} instead of {!r}".format(name, getattr(found, name, None), value)
        for name, value in VISION.items()
        if _plain(getattr(found, name, None)) != value
    ]
    if wrong:
        message = "{} is not SAM ViT-H: {}".format(folder, "; ".join(wrong))
        raise StageFailure("data", message, checkpoint.REMEDY)
    return network


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


def _module(network):
    import torch

    class PointPrompted(torch.nn.Module):
        """Positional inputs, and a tuple of outputs in the declared order, as exporters need."""

        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, pixel_values, points):
            # Without labels, the model uses 1, "part of the object", for each point.
            found = self.network(pixel_values=pixel_values, input_points=points)
            return found.iou_scores, found.pred_masks

    return PointPrompted().eval().requires_grad_(False)
