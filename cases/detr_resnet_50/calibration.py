"""Synthetic weights with meaningful answers: pictures decide which objects are found, and where.

A freshly initialised DETR finds the same in every picture: frozen batch norms do not normalise, and each layer of
untrained attention averages, so that in the end all queries have the same features. As
harness.models.synthetic_weights does for classifiers, generated pictures set the statistics of the batch norms and
the two heads, whose last layers project onto the directions in which a query's features differ most from picture to
picture. Self-attention is damped, and cross-attention made sharper. Measured on generated pictures of full size:
logits of bf16 have a cosine of 0.999 to fp32's, those of another picture one of -0.1.
"""

import numpy as np
from harness.inputs.generated_pictures import picture

PICTURES, HEIGHT, WIDTH = 6, 224, 288
DIRECTIONS = 8
#: Of the batch norms that end a residual branch (undamped, rounding errors grow from block to block), and of the
#: output of self-attention.
DAMPING = 0.2
RESIDUAL_END = "layer.2.normalization"
#: Queries attend to parts of the picture, not to its mean: factor of both projections of cross-attention.
SHARPNESS = 1.25
#: Spread of the class logits: the best scores are then those of a trained model, 0.1 to 0.9.
SPREAD = 3.0
#: Boxes before the sigmoid: centres anywhere, widths and heights about a quarter of the picture's.
BOX_SPREAD, BOX_CENTRE = 1.0, (0.0, 0.0, -1.0, -1.0)


def calibrate(module, seed):
    """Set the weights of ``module`` (model.build's), in place; ``seed`` determines them."""
    import torch

    network = module.network
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones((PICTURES, -(-HEIGHT // 32), -(-WIDTH // 32)), dtype=torch.int64)
    with torch.no_grad():
        _initialise_attention(network.model, generator)
        seen = _run(module, _pixels(seed), mask)
        _project(network.class_labels_classifier, seen["classes"], SPREAD, generator)
        boxes = network.bbox_predictor.layers[-1]
        _project(boxes, seen["boxes"], BOX_SPREAD, generator)
        boxes.bias.add_(torch.tensor(BOX_CENTRE))


def _initialise_attention(model, generator):
    """Set encoder, decoder and queries as the original does, then change what attention averages."""
    import torch

    for part in (model.encoder, model.decoder):
        for matrix in (one for one in part.parameters() if one.dim() > 1):
            _xavier(matrix, generator)
        for one in part.layers:
            _output(one.self_attn).weight.mul_(DAMPING)
    for one in model.decoder.layers:
        one.encoder_attn.q_proj.weight.mul_(SHARPNESS)
        one.encoder_attn.k_proj.weight.mul_(SHARPNESS)
    queries = model.query_position_embeddings.weight
    queries.copy_(torch.randn(queries.shape, generator=generator))


def _pixels(seed):
    """Generated pictures, of about unit variance: float32 [PICTURES, 3, HEIGHT, WIDTH]."""
    import torch

    # Negative numbers: none of these pictures is in the synthetic dataset.
    stack = np.stack([picture(seed, -1 - n, WIDTH, HEIGHT) for n in range(PICTURES)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float().div_(63.75).sub_(2.0)


def _xavier(matrix, generator):
    bound = (6.0 / sum(matrix.shape)) ** 0.5
    uniform = matrix.new_empty(matrix.shape).uniform_(-bound, bound, generator=generator)
    matrix.copy_(uniform)


def _output(attention):
    """An attention's last projection, which has another name since transformers 5."""
    return attention.o_proj if hasattr(attention, "o_proj") else attention.out_proj


def _run(module, pixels, mask):
    """Run the pictures; batch norms take their statistics on the way. The inputs of both heads' last layers."""
    network, seen = module.network, {}
    heads = {
        "classes": network.class_labels_classifier,
        "boxes": network.bbox_predictor.layers[-1],
    }
    hooks = [one.register_forward_pre_hook(_keep(seen, name)) for name, one in heads.items()] + [
        one.register_forward_pre_hook(_statistics(name))
        for name, one in network.named_modules()
        if hasattr(one, "running_var")
    ]
    hooks.append(network.model.input_projection.register_forward_hook(_normalise))
    try:
        module(pixels, mask)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _keep(seen, name):
    def hook(_, inputs):
        seen[name] = inputs[0].double()

    return hook


def _statistics(name):
    import torch

    def hook(norm, inputs):
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.fill_(DAMPING if name.endswith(RESIDUAL_END) else 1.0)

    return hook


def _normalise(convolution, _, found):
    """Give every channel of the transformer's input mean 0 and variance 1, whatever all pictures share."""
    import torch

    variance, mean = torch.var_mean(found, dim=(0, 2, 3))
    deviation = variance.sqrt()
    convolution.weight.div_(deviation[:, None, None, None])
    convolution.bias.sub_(mean).div_(deviation)
    return (found - mean[:, None, None]) / deviation[:, None, None]


def _project(linear, features, spread, generator):
    """Set a linear layer so that its outputs have mean 0 and the standard deviation ``spread`` over pictures.

    ``features`` float64 [PICTURES, queries, width] are its inputs.
    """
    import torch

    varying = (features - features.mean(dim=0)).flatten(0, 1)
    _, sizes, axes = torch.linalg.svd(varying, full_matrices=False)
    axes = axes[:DIRECTIONS] * (len(varying) ** 0.5 / sizes[:DIRECTIONS, None])
    mix = torch.randn(linear.out_features, DIRECTIONS, generator=generator, dtype=torch.float64)
    weight = spread * (mix / mix.norm(dim=1, keepdim=True)) @ axes
    linear.weight.copy_(weight)
    linear.bias.copy_(-weight @ features.flatten(0, 1).mean(dim=0))
