"""Random weights with meaningful answers: calibrated so that the picture decides the class.

A freshly initialised network gives nearly the same logits for every picture: the contribution of its
layers that does not depend on the input outweighs that of the picture, a handful of classes always win,
and agreement with fp32 is meaningless. Two measures fix it, both computed from generated pictures and a
seed:

- Batch normalisation takes its mean and variance from the pictures, as training would, and the batch
  norms that end a residual branch are damped. Undamped, a random RegNet amplifies every rounding error
  (its bf16 logits then have a cosine of 0.2 with its fp32 logits; damped, 0.9997).
- The last linear layer projects onto the directions in which the features of pictures differ most, each
  scaled to unit variance, with a pair of classes per direction. The other classes mix these directions
  with less weight. Margins between classes are then like a trained network's: far above the rounding
  errors of fp32, and within reach of those of bf16.
"""

from typing import Any, List, Sequence, Tuple

import numpy as np

from harness.inputs.generated_pictures import picture

PICTURES = 12
DIRECTIONS = 8
MIXED_GAIN = 0.5
DAMPING = 0.2


def calibrate(
    module: Any, head: Any, seed: int, image_size: int, residual_ends: Sequence[str] = ()
) -> None:
    """Set batch-norm statistics and the head's last linear layer of ``module``, in place.

    ``module(pixels)`` takes float32 [B, 3, image_size, image_size]; ``head`` is its classifier. Batch
    norms whose names end in one of ``residual_ends`` end a residual branch.
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


def _pixels(seed: int, image_size: int) -> Any:
    """Generated pictures, of about unit variance: float32 [PICTURES, 3, image_size, image_size]."""
    import torch

    # Negative numbers: none of these pictures is in the synthetic dataset.
    stack = np.stack([picture(seed, -1 - n, image_size, image_size) for n in range(PICTURES)])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float().div_(63.75).sub_(2.0)


def _set_batch_norm(module: Any, pixels: Any) -> None:
    """Set the statistics of all batch norms to those of the pictures."""
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


def _inputs_of(linear: Any, module: Any, pixels: Any) -> Any:
    """The input of ``linear`` for each picture: float64 [PICTURES, features]."""
    seen: List[Any] = []
    hook = linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        # All at once, since a CPU library compiles its kernels again for each batch size.
        module(pixels)
    finally:
        hook.remove()
    return seen[0].reshape(-1, linear.in_features).double()


def _head(features: Any, classes: int, seed: int) -> Tuple[Any, Any]:
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
