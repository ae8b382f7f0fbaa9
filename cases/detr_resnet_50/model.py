"""DETR with a ResNet-50: Hugging Face's class and weights, or the original repository's checkpoint."""

import math

from case import published_weights
from case.architecture import BACKBONE, CONFIG, LABELS

#: Added to the attention of padding; its exponential is 0 in fp16 too, whose smallest number is -65504.
MASKED = -10000.0
#: DetrSinePositionEmbedding's temperature.
TEMPERATURE = 10000.0


def build(weights_dir, weights_format, synthetic, seed, attention=None):
    """The module in eval mode, fp32, on the CPU.

    ``module(pixel_values [B, 3, H, W], pixel_mask int64 [B, rows, columns]) -> (logits [B, 100, 92],
    pred_boxes [B, 100, 4])``. The mask is that of the features, H / 32 and W / 32 rounded up; 1 in a
    rectangle from the first one on. Boxes are centre x, centre y, width, height, as shares of the picture
    without its padding. ``weights_dir`` has facebook/detr-resnet-50 (``huggingface``) or
    detr-r50-e632da11.pth (``pth``); with ``synthetic``, ``seed`` determines the weights. ``attention``:
    ``eager``, ``sdpa`` or None (the library's choice). Raises StageFailure (data).
    """
    if synthetic:
        from case import calibration

        module = _module(_initialised(seed, attention))
        calibration.calibrate(module, seed)
    elif weights_format == "huggingface":
        module = _module(_loaded(published_weights.from_hub(weights_dir), attention))
    else:
        module = _module(_loaded(published_weights.from_original(weights_dir), attention))
    return module.requires_grad_(False)


def skeleton(attention=None):
    """The module with meaningless weights, on torch's default device (``meta`` to count operations)."""
    return _module(_initialised(0, attention)).requires_grad_(False)


def save(module, folder):
    """Write the module as a Hugging Face folder: config.json and model.safetensors."""
    module.network.save_pretrained(str(folder))


def _initialised(seed, attention):
    import torch
    from transformers import DetrForObjectDetection

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DetrForObjectDetection(_config(attention)).eval()


def _config(attention):
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=ResNetConfig(out_features=["stage4"], **BACKBONE),
        num_labels=LABELS,
        **CONFIG,
    )
    if attention is not None:
        # The backbone has no attention, and refuses to have a fused one.
        fused = getattr(DetrForObjectDetection, "_supports_sdpa", False)
        config._attn_implementation = "eager" if attention == "sdpa" and not fused else attention
        config.backbone_config._attn_implementation = "eager"
    return config


def _loaded(state, attention):
    """The network with a state dict in published names, which from_pretrained translates to its version's."""
    from transformers import DetrForObjectDetection

    network, info = DetrForObjectDetection.from_pretrained(
        None, config=_config(attention), state_dict=state, output_loading_info=True
    )
    left = sorted(info["missing_keys"]) + sorted(info["unexpected_keys"])
    if left:
        raise RuntimeError("the mapping does not cover the architecture: {}".format(left[:5]))
    return network.float().eval()


def positions(mask, width):
    """Sine embeddings float32 [B, rows * columns, width] of a rectangle: DetrSinePositionEmbedding's.

    ``mask`` float32 [B, rows, columns]. Those of padding differ, which is never attended to: the library's
    divide 0 by 1e-6, which is 0 in fp16 without subnormal numbers, and NaN would spread to all of the picture.
    """
    import torch

    rows, columns = mask.shape[1:]
    down = _angles(rows, mask[:, :, 0].sum(dim=1), width // 2)[:, :, None]
    across = _angles(columns, mask[:, 0].sum(dim=1), width // 2)[:, None]
    both = (down.expand(-1, -1, columns, -1), across.expand(-1, rows, -1, -1))
    return torch.cat(both, dim=-1).flatten(1, 2)


def _angles(count, seen, width):
    """Sines and cosines in turn, float32 [B, count, width], of ``count`` places of which ``seen`` [B] are real."""
    import torch

    places = torch.arange(1, count + 1, dtype=torch.float32, device=seen.device)
    shares = places / (seen[:, None] + 1e-6) * (2 * math.pi)
    exponents = torch.arange(0, width, 2, dtype=torch.float32, device=seen.device) / width
    angles = shares[:, :, None] / TEMPERATURE**exponents
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(2)


def _module(network):
    import torch

    class Detector(torch.nn.Module):
        """Positional inputs, and a tuple of outputs in the declared order, as exporters need."""

        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, pixel_values, pixel_mask):
            # The layers of transformers' DetrModel with the mask and the positions made here: those of the
            # library bring CumSum, IsNaN and a resized mask into the graph, which older parsers lack.
            model = self.network.model
            backbone = getattr(model.backbone, "conv_encoder", model.backbone).model
            features = model.input_projection(backbone(pixel_values).feature_maps[-1])
            features = features.flatten(2).transpose(1, 2)
            mask = pixel_mask.to(torch.float32)
            # Not the width of the features, which is a tensor while the TorchScript exporter traces.
            places = positions(mask, self.network.config.d_model).to(features.dtype)
            masked = ((1.0 - mask.flatten(1)[:, None, None, :]) * MASKED).to(features.dtype)
            for one in model.encoder.layers:
                features = _first(one(features, _for(one, masked, features), places))
            queries = model.query_position_embeddings.weight
            queries = queries.unsqueeze(0).expand(features.shape[0], -1, -1)
            found = torch.zeros_like(queries)
            for one in model.decoder.layers:
                hidden = _for(one, masked, found)
                found = _first(one(found, None, places, queries, features, hidden))
            found = model.decoder.layernorm(found)
            boxes = self.network.bbox_predictor(found).sigmoid()
            return self.network.class_labels_classifier(found), boxes

    return Detector().eval()


def _first(found):
    """A layer's output, which is the first of several until transformers 5."""
    return found[0] if isinstance(found, tuple) else found


def _for(layer_of_model, masked, queries):
    """The mask as a layer takes it: until transformers 5 it must have a row for every query."""
    if hasattr(layer_of_model, "mlp"):
        return masked
    return masked.expand(-1, -1, queries.shape[1], -1)
