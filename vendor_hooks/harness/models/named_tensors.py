"""A checkpoint's tensors under other names: what convolutional networks of timm and torchvision share."""

from typing import Any, Dict, List, Sequence, Tuple

from harness.models import checkpoint
from harness.models.checkpoint import Folder

#: (Hugging Face's name, the checkpoint's name, shape) of a tensor.
Named = Tuple[str, str, Tuple[int, ...]]
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def convolution(ours: str, conv: str, norm: str, shape: Tuple[int, ...]) -> List[Named]:
    """A convolution without bias and its batch normalisation; ``conv`` and ``norm`` are the checkpoint's."""
    return [(ours + ".convolution.weight", conv + ".weight", shape)] + [
        (ours + ".normalization." + part, norm + "." + part, shape[:1]) for part in BATCH_NORM
    ]


def layer(ours: str, theirs: str, shape: Tuple[int, ...]) -> List[Named]:
    """A layer with a weight of ``shape`` and a bias, called alike by both."""
    return [
        (ours + ".weight", theirs + ".weight", shape),
        (ours + ".bias", theirs + ".bias", shape[:1]),
    ]


def read_pth(folder: Folder, names: Sequence[Named]) -> Dict[str, Any]:
    """A .pth, compared name by name, as a state dict in Hugging Face's names. Raises StageFailure (data)."""
    import torch

    origin, state = checkpoint.read_pth(folder)
    # Only training uses the batch counters, which checkpoints of older torch versions lack.
    state = {
        name: value for name, value in state.items() if not name.endswith("num_batches_tracked")
    }
    checkpoint.require_state(origin, state, {theirs: shape for _, theirs, shape in names})
    mapped = {ours: state[theirs] for ours, theirs, _ in names}
    for ours in [name for name in mapped if name.endswith("running_mean")]:
        mapped[ours.replace("running_mean", "num_batches_tracked")] = torch.tensor(0)
    return mapped
