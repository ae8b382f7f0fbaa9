"""Random weights that still answer: calibrated so that pictures, not chance biases, decide the class.

A freshly initialised network gives nearly the same logits for every picture: what its layers add up to
regardless of the input outweighs what the picture contributes, a handful of classes win always, and
agreement with fp32 says nothing. Two things mend it, both computed from generated pictures and a seed:

- batch normalisation takes its mean and variance from the pictures, as training would have made it, and
  what ends a residual branch is damped: undamped, a random RegNet amplifies every rounding error (its
  bf16 logits then have a cosine of 0.2 with its fp32 ones; damped, 0.9997);
- the last linear layer looks along the directions in which the features of pictures differ most, each
  scaled to unit variance, a pair of classes a direction. The other classes mix these directions with
  less weight. Margins between classes are then like a trained network's, far above fp32's rounding
  and visible to bf16's.
"""

import numpy as np

from harness.pictures import picture

PICTURES = 12
DIRECTIONS = 8
MIXED_GAIN = 0.5
DAMPING = 0.2


def calibrate(module, head, seed, image_size, residual_ends=()):
    """Set batch-norm statistics and the head's last linear layer of ``module``, in place.

    ``module(pixels)`` takes float32 [B, 3, image_size, image_size]; ``head`` is its classifier;
    batch norms whose name ends in one of ``residual_ends`` close a residual branch.
    """
    import torch

    pixels = _pixels(seed, image_size)
    linear = [layer for layer in head.modules() if isinstance(layer, torch.nn.Linear)][-1]
    with torch.no_grad():
        for name, layer in module.named_modules():
            if residual_ends and name.endswith(tuple(residual_ends)):
                layer.weight.fill_(DAMPING)
        _set_batch_norm(module, pixels)
        features = _inputs_of(linear, module, pixels)
        weight, bias = _head(features, linear.out_features, seed)
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    module.eval()


def _pixels(seed, image_size):
    """Generated pictures, of about unit variance: float32 [PICTURES, 3, image_size, image_size]."""
    import torch

    # Negative numbers: none of these pictures is one of the synthetic data set's.
    stack = np.stack([picture(seed, -1 - n, image_size, image_size) for n in range(PICTURES)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float().div_(63.75).sub_(2.0)


def _set_batch_norm(module, pixels):
    """Let batch normalisation take cumulative statistics of the pictures."""
    import torch

    norms = [layer for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    module(pixels)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
        norm.eval()


def _inputs_of(linear, module, pixels):
    """What ``linear`` is given for each picture: float64 [PICTURES, features]."""
    seen = []
    hook = linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        # All at once: a CPU library compiles its kernels anew for every batch size.
        module(pixels)
    finally:
        hook.remove()
    return seen[0].reshape(-1, linear.in_features).double()


def _head(features, classes, seed):
    """Weight [classes, features] and bias [classes] from the features' main directions."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    mean = features.mean(dim=0)
    _, spread, axes = torch.linalg.svd(features - mean, full_matrices=False)
    axes = axes[:DIRECTIONS] * (len(features) ** 0.5 / spread[:DIRECTIONS, None])
    mix = torch.randn(classes, len(axes), generator=generator, dtype=torch.float64)
    mix *= MIXED_GAIN / mix.norm(dim=1, keepdim=True)
    pairs = torch.eye(len(axes), dtype=torch.float64)
    chosen = torch.randperm(classes, generator=generator)[: 2 * len(axes)]
    mix[chosen] = torch.cat([pairs, -pairs])[: len(chosen)]
    weight = mix @ axes
    return weight.float(), (-weight @ mean).float()
